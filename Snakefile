# The whole pipeline. `snakemake --cores all` makes the report of the scale and variant that
# params.yaml selects; `--config scale=small variant=dinov2` selects others.


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"


rule all:
    default_target: True
    input:
        receipt("report", VARIANT),


rule ablation:
    """The controlled comparison of the paper's Figure 2: every compared variant, then one page."""
    input:
        [receipt("evaluate", variant) for variant in COMPARED],
        params=parameters_of("report").format(variant=COMPARED[-1]),
    output:
        f"artifacts/{SCALE}/ablation/receipt.json",
    shell:
        f"franca ablation --scale {SCALE}"
