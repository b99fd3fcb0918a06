# From shards to a trained backbone and the map that removes position from its patch features.


def trained_by(stage):
    """As many processes as a profile says (`set-resources: pretrain: processes`)."""
    command = f"{stage} --scale {SCALE} --variant {{wildcards.variant}}"
    # `exec`: a signal to the job's shell is to reach what trains.
    return (
        "if [ {resources.processes} -gt 1 ];"
        f" then exec franca torchrun --nproc-per-node {{resources.processes}} {command};"
        f" else exec franca {command}; fi"
    )


rule pretrain:
    input:
        **receipts_needed_by("pretrain"),
        params=parameters_of("pretrain"),
    output:
        receipt("pretrain"),
    log:
        log_of("pretrain"),
    threads: 2
    resources:
        mem_mb=6000,
        processes=1,
    message:
        "Pretraining ({wildcards.variant})"
    shell:
        trained_by("pretrain")


rule finetune_highres:
    input:
        **receipts_needed_by("finetune_highres"),
        params=parameters_of("finetune_highres"),
    output:
        receipt("finetune_highres"),
    log:
        log_of("finetune_highres"),
    threads: 2
    resources:
        mem_mb=6000,
        processes=1,
    message:
        "Fine-tuning at high resolution ({wildcards.variant})"
    shell:
        trained_by("finetune_highres")


rule rasa:
    input:
        **receipts_needed_by("rasa"),
        params=parameters_of("rasa"),
    output:
        receipt("rasa"),
    log:
        log_of("rasa"),
    resources:
        mem_mb=4000,
    message:
        "Removing absolute position ({wildcards.variant})"
    shell:
        f"franca rasa --scale {SCALE} --variant {{wildcards.variant}}"
