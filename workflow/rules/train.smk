# From shards to a trained backbone and the map that removes position from its patch features.


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
    message:
        "Pretraining ({wildcards.variant})"
    shell:
        f"franca pretrain --scale {SCALE} --variant {{wildcards.variant}}"


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
    message:
        "Fine-tuning at high resolution ({wildcards.variant})"
    shell:
        f"franca finetune_highres --scale {SCALE} --variant {{wildcards.variant}}"


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
