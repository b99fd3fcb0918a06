# From public metadata and images to training shards. Nothing here depends on the variant.


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
    resources:
        mem_mb=2000,
    message:
        "Reading the source's tables"
    shell:
        f"franca fetch_metadata --scale {SCALE}"


rule filter_metadata:
    input:
        **receipts_needed_by("filter_metadata"),
        params=parameters_of("filter_metadata"),
    output:
        receipt("filter_metadata"),
    log:
        log_of("filter_metadata"),
    resources:
        mem_mb=4000,
    message:
        "Judging the metadata"
    shell:
        f"franca filter_metadata --scale {SCALE}"


rule download_images:
    input:
        **receipts_needed_by("download_images"),
        params=parameters_of("download_images"),
    output:
        receipt("download_images"),
    log:
        log_of("download_images"),
    threads: 2
    resources:
        mem_mb=4000,
    message:
        "Downloading images"
    shell:
        f"franca download_images --scale {SCALE}"


rule filter_images:
    input:
        **receipts_needed_by("filter_images"),
        params=parameters_of("filter_images"),
    output:
        receipt("filter_images"),
    log:
        log_of("filter_images"),
    threads: 2
    resources:
        mem_mb=4000,
    message:
        "Judging the images"
    shell:
        f"franca filter_images --scale {SCALE}"


rule deduplicate:
    input:
        **receipts_needed_by("deduplicate"),
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
        f"franca deduplicate --scale {SCALE}"


rule pack_shards:
    input:
        **receipts_needed_by("pack_shards"),
        params=parameters_of("pack_shards"),
    output:
        receipt("pack_shards"),
    log:
        log_of("pack_shards"),
    resources:
        mem_mb=2000,
    message:
        "Packing training shards"
    shell:
        f"franca pack_shards --scale {SCALE}"
