# Benchmarks over every kept checkpoint, and the page that people read.


def evaluated_checkpoint(checkpoint="{checkpoint}"):
    folder = artifact_folder(BY_NAME["evaluate"], scale=SCALE, variant="{variant}")
    return f"{folder.as_posix()}/{checkpoint}/receipt.json"


rule evaluate_checkpoint:
    input:
        **receipts_needed_by("evaluate"),
        params=parameters_of("evaluate"),
    output:
        evaluated_checkpoint(),
    log:
        log_of("evaluate", part="{checkpoint}"),
    resources:
        mem_mb=4000,
    message:
        "Evaluating {wildcards.checkpoint} ({wildcards.variant})"
    shell:
        f"franca evaluate --checkpoint {{wildcards.checkpoint}} --scale {SCALE}"
        " --variant {wildcards.variant}"


rule evaluate:
    input:
        lambda wildcards: [
            evaluated_checkpoint(name).format(variant=wildcards.variant)
            for name in part_names(BY_NAME["evaluate"], PARAMETERS[wildcards.variant])
        ],
    output:
        receipt("evaluate"),
    log:
        log_of("evaluate"),
    resources:
        mem_mb=2000,
    message:
        "Joining the evaluations ({wildcards.variant})"
    shell:
        f"franca evaluate --scale {SCALE} --variant {{wildcards.variant}}"


rule report:
    input:
        **receipts_needed_by("report"),
        params=parameters_of("report"),
    output:
        receipt("report"),
    log:
        log_of("report"),
    resources:
        mem_mb=2000,
    message:
        "Writing the report ({wildcards.variant})"
    shell:
        f"franca report --scale {SCALE} --variant {{wildcards.variant}}"
