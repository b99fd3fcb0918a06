"""The controlled comparison of the paper's Figure 2, at the scale that was run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from franca.report.ablation import build_ablation
from workflow import receipts
from workflow.params import resolve
from workflow.stages import ARTIFACTS, BY_NAME, COMPARED, WORK, artifact_folder


def run_ablation(tree: Mapping[str, Any], *, scale: str) -> Path:
    """Build the page from the compared variants' published evaluations.

    Args:
        tree: What `workflow.params.read` returned.
        scale: Whose evaluations to compare.

    Returns:
        The published folder.

    Raises:
        FileNotFoundError: A variant has not been evaluated; says what to run.
    """
    stage = BY_NAME["evaluate"]
    inputs = {name: artifact_folder(stage, scale=scale, variant=name) for name in COMPARED}
    for folder in inputs.values():
        receipts.verify(folder)
    parameters: Any = resolve(tree, scale=scale, variant=COMPARED[-1])
    staging, target = WORK / scale / "ablation", ARTIFACTS / scale / "ablation"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    summary = build_ablation(
        inputs,
        scale=scale,
        main_metrics=parameters.report.main_metrics,
        dpi=parameters.report.dpi,
        output=staging,
    )
    receipt = receipts.make(
        staging, stage="ablation", parameters={}, inputs=inputs, summary=summary
    )
    receipts.publish(staging, target, receipt)
    return target
