"""The controlled comparison of the paper's Figure 2, at the scale that was run."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from franca.eval.comparison import compare, unique_seeds
from franca.eval.results import read_metrics
from franca.report.ablation import build_ablation
from workflow import receipts
from workflow.params import checkpoint_names, stage_parameters
from workflow.stages import ARTIFACTS, BY_NAME, COMPARED, WORK, artifact_folder


def run_ablation(parameters: Any, *, scale: str) -> Path:
    """Build the page from the compared variants' published evaluations.

    Args:
        parameters: Of the method, the last of the compared variants.
        scale: Whose evaluations to compare.

    Returns:
        The published folder.

    Raises:
        FileNotFoundError: A variant has not been evaluated; says what to run.
        ValueError: The variants were not evaluated alike.
    """
    stage = BY_NAME["evaluate"]
    inputs = {name: artifact_folder(stage, scale=scale, variant=name) for name in COMPARED}
    for folder in inputs.values():
        receipts.verify(folder)
    staging, target = WORK / scale / "ablation", ARTIFACTS / scale / "ablation"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    summary = build_ablation(
        inputs,
        scale=scale,
        main_metrics=parameters.report.main_metrics,
        dpi=parameters.report.dpi,
        output=staging,
        comparisons=_compare_variants(inputs, checkpoint_names(parameters)[-3:]),
    )
    receipt = receipts.make(
        staging,
        stage="ablation",
        parameters=stage_parameters(parameters, BY_NAME["report"]),
        inputs=inputs,
        summary=summary,
    )
    receipts.publish(staging, target, receipt)
    return target


def _compare_variants(
    inputs: Mapping[str, Path], checkpoints: Sequence[str]
) -> list[dict[str, Any]]:
    """Compare each checkpoint of the method with the baseline's, image by image."""
    folders = {
        f"{variant}/{name}": folder / name
        for variant, folder in inputs.items()
        for name in checkpoints
    }
    details = [json.loads((folder / "details.json").read_text()) for folder in folders.values()]
    seed, resamples = unique_seeds(details)
    baseline, method = COMPARED
    return compare(
        folders,
        {name: read_metrics(folder / "metrics.json") for name, folder in folders.items()},
        pairs=[(f"{method}/{name}", f"{baseline}/{name}") for name in checkpoints],
        resamples=resamples,
        seed=seed,
    )
