# From public metadata and images to training shards. Nothing here depends on the variant.
# A stage that fans out runs once for each group of rows, then gathers what is of all groups. Memory
# is a fact of the machine: what a rule may use reaches DuckDB through FRANCA_MEMORY_MB.
MACHINE = "FRANCA_WORKERS={threads} FRANCA_MEMORY_MB={resources.mem_mb}"


def of_group(stage):
    folder = artifact_folder(BY_NAME[stage], scale=SCALE, variant=VARIANT)
    return f"{folder.as_posix()}/{{group}}/receipt.json"


def inputs_of_group(stage):
    aligned = {name: of_group(name) for name in BY_NAME[stage].by_group}
    return receipts_needed_by(stage) | aligned


def groups_of(stage):
    names = part_names(BY_NAME[stage], PARAMETERS[VARIANT])
    return expand(of_group(stage), group=names)


rule scenes:
    input:
        params=parameters_of("scenes"),
    output:
        receipt("scenes"),
    log:
        log_of("scenes"),
    threads: 2
    resources:
        mem_mb=2000,
    message:
        "Rendering the embedded world"
    shell:
        f"franca scenes --scale {SCALE}"


rule fetch_metadata:
    input:
        **receipts_needed_by("fetch_metadata"),
        params=parameters_of("fetch_metadata"),
    output:
        receipt("fetch_metadata"),
    log:
        log_of("fetch_metadata"),
    threads: 2
    resources:
        mem_mb=2000,
    message:
        "Reading the source's tables"
    shell:
        f"{MACHINE} franca fetch_metadata --scale {SCALE}"


rule filter_metadata_group:
    input:
        **inputs_of_group("filter_metadata"),
        params=parameters_of("filter_metadata"),
    output:
        of_group("filter_metadata"),
    log:
        log_of("filter_metadata", part="{group}"),
    resources:
        mem_mb=2000,
    message:
        "Judging the metadata, {wildcards.group}"
    shell:
        f"{MACHINE} franca filter_metadata --group {{wildcards.group}} --scale {SCALE}"


rule filter_metadata:
    input:
        **receipts_needed_by("filter_metadata"),
        groups=groups_of("filter_metadata"),
        params=parameters_of("filter_metadata"),
    output:
        receipt("filter_metadata"),
    log:
        log_of("filter_metadata"),
    threads: 2
    resources:
        mem_mb=4000,
    message:
        "Finding repeated addresses"
    shell:
        f"{MACHINE} franca filter_metadata --scale {SCALE}"


rule download_images_group:
    input:
        **inputs_of_group("download_images"),
        params=parameters_of("download_images"),
    output:
        of_group("download_images"),
    log:
        log_of("download_images", part="{group}"),
    resources:
        mem_mb=2000,
    message:
        "Downloading images, {wildcards.group}"
    shell:
        f"{MACHINE} franca download_images --group {{wildcards.group}} --scale {SCALE}"


rule download_images:
    input:
        **receipts_needed_by("download_images"),
        groups=groups_of("download_images"),
        params=parameters_of("download_images"),
    output:
        receipt("download_images"),
    log:
        log_of("download_images"),
    threads: 2
    resources:
        mem_mb=2000,
    message:
        "Counting what arrived"
    shell:
        f"{MACHINE} franca download_images --scale {SCALE}"


rule filter_images_group:
    input:
        **inputs_of_group("filter_images"),
        params=parameters_of("filter_images"),
    output:
        of_group("filter_images"),
    log:
        log_of("filter_images", part="{group}"),
    resources:
        mem_mb=2000,
    message:
        "Judging the images, {wildcards.group}"
    shell:
        f"{MACHINE} franca filter_images --group {{wildcards.group}} --scale {SCALE}"


rule filter_images:
    input:
        **receipts_needed_by("filter_images"),
        groups=groups_of("filter_images"),
        params=parameters_of("filter_images"),
    output:
        receipt("filter_images"),
    log:
        log_of("filter_images"),
    threads: 2
    resources:
        mem_mb=2000,
    message:
        "Counting the verdicts"
    shell:
        f"{MACHINE} franca filter_images --scale {SCALE}"


rule deduplicate_group:
    input:
        **inputs_of_group("deduplicate"),
        params=parameters_of("deduplicate"),
    output:
        of_group("deduplicate"),
    log:
        log_of("deduplicate", part="{group}"),
    resources:
        mem_mb=2000,
    message:
        "Signing the images, {wildcards.group}"
    shell:
        f"{MACHINE} franca deduplicate --group {{wildcards.group}} --scale {SCALE}"


rule deduplicate:
    input:
        **receipts_needed_by("deduplicate"),
        groups=groups_of("deduplicate"),
        params=parameters_of("deduplicate"),
    output:
        receipt("deduplicate"),
    log:
        log_of("deduplicate"),
    threads: 2
    resources:
        mem_mb=4000,
    message:
        "Removing duplicates and evaluation images"
    shell:
        f"{MACHINE} franca deduplicate --scale {SCALE}"


rule pack_shards:
    input:
        **receipts_needed_by("pack_shards"),
        params=parameters_of("pack_shards"),
    output:
        receipt("pack_shards"),
    log:
        log_of("pack_shards"),
    threads: 2
    resources:
        mem_mb=4000,
    message:
        "Packing training shards"
    shell:
        f"{MACHINE} franca pack_shards --scale {SCALE}"


rule pack_highres:
    input:
        **receipts_needed_by("pack_highres"),
        params=parameters_of("pack_highres"),
    output:
        receipt("pack_highres"),
    log:
        log_of("pack_highres"),
    threads: 2
    resources:
        mem_mb=4000,
    message:
        "Packing the data sets of high-resolution fine-tuning"
    shell:
        f"{MACHINE} franca pack_highres --scale {SCALE}"
