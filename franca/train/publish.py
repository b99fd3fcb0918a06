"""What a training stage leaves behind: backbones with a manifest, metrics, the state to go on from.

checkpoints/step-0000000.safetensors ...   teacher backbones
manifest.json                              [{"name", "file", "step", "samples", "sha256"}]
metrics.jsonl                              one row per logged step
quarantine.json                            images that could not be decoded, with the reason
recipe.json                                the parameters that trained the state
training_state/                            student, teacher and optimiser after the last step
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from franca.config.pretrain import Recipe
from franca.train.checkpoint import file_sha256, write_state
from franca.train.quarantine import read_quarantine, read_run_quarantine

CHECKPOINTS = "checkpoints"
MANIFEST = "manifest.json"
METRICS = "metrics.jsonl"
QUARANTINE = "quarantine.json"
RECIPE = "recipe.json"
TRAINING_STATE = "training_state"


def publish_checkpoints(
    output: Path, backbones: Mapping[str, tuple[int, Path]], *, batch_size: int
) -> None:
    """Copy backbones into `output` and write their manifest.

    Args:
        output: published folder.
        backbones: (updates, file) by the name to publish under.
        batch_size: images per update.
    """
    folder = output / CHECKPOINTS
    folder.mkdir()
    rows = []
    for name, (step, source) in backbones.items():
        target = folder / f"{name}.safetensors"
        shutil.copyfile(source, target)
        rows.append(
            {
                "name": name,
                "file": f"{CHECKPOINTS}/{target.name}",
                "step": step,
                "samples": step * batch_size,
                "sha256": file_sha256(target),
            }
        )
    _write_json(output / MANIFEST, rows)


def publish_records(output: Path, *, recipe: Recipe, runs: Sequence[Path]) -> None:
    """Write the recipe, and the metrics and quarantine of runs on end, given their work folders."""
    (output / METRICS).write_bytes(b"".join((work / METRICS).read_bytes() for work in runs))
    reasons = {row["key"]: row for work in runs for row in read_run_quarantine(work)}
    _write_json(output / QUARANTINE, [reasons[key] for key in sorted(reasons)])
    _write_json(output / RECIPE, recipe.model_dump(mode="json"))


def publish_state(output: Path, *, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Write the state from which another stage, or another project, can go on."""
    folder = output / TRAINING_STATE
    folder.mkdir()
    write_state(folder, step=step, tensors=tensors)


def summarise(output: Path) -> dict[str, Any]:
    """Return what the receipt says of a published run."""
    last = json.loads((output / METRICS).read_text(encoding="utf-8").splitlines()[-1])
    return {"loss": last["loss"], "undecodable": len(read_quarantine(output / QUARANTINE))}


def read_recipe(folder: Path) -> Recipe:
    """Read the recipe that a training stage published.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a recipe of this version.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no recipe there; run `franca pretrain` first")
    return Recipe.model_validate_json(path.read_text(encoding="utf-8"))


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
