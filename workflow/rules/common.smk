# What every rule uses. Snakemake executes; each edge runs over a receipt and over the stage's
# resolved parameters, a file that is rewritten only when its content changes.
import sys

from workflow.params import (
    ParameterError,
    part_names,
    read,
    resolve,
    select,
    write_resolved,
)
from workflow.stages import (
    BY_NAME,
    COMPARED,
    artifact_folder,
    log_file,
    params_file,
    receipt_file,
)


def load_parameters():
    """Resolve the selected variant and those that `ablation` compares."""
    tree = read()
    scale, variant = select(tree, scale=config.get("scale"), variant=config.get("variant"))
    resolved = {}
    for name in {variant: None} | dict.fromkeys(COMPARED):
        resolved[name] = resolve(tree, scale=scale, variant=name)
        write_resolved(resolved[name], scale=scale, variant=name)
    return scale, variant, resolved


try:
    SCALE, VARIANT, PARAMETERS = load_parameters()
except (ParameterError, OSError) as error:
    sys.stderr.write(f"snakemake: {error}\n")
    sys.exit(2)


wildcard_constraints:
    variant="|".join(PARAMETERS),
    checkpoint=r"[a-z]+(-\d+)?",
    group=r"group-\d+",


def receipt(stage, variant="{variant}"):
    return receipt_file(BY_NAME[stage], scale=SCALE, variant=variant).as_posix()


def receipts_needed_by(stage):
    return {name: receipt(name) for name in BY_NAME[stage].needs}


def parameters_of(stage):
    return params_file(BY_NAME[stage], scale=SCALE, variant="{variant}").as_posix()


def log_of(stage, part=None):
    return log_file(BY_NAME[stage], scale=SCALE, variant="{variant}", part=part).as_posix()
