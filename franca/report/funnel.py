"""The funnel: what every filter of the data half took in, kept and dropped, and why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Step:
    """One filter's account; `reasons` counts the dropped by reason."""

    stage: str
    filter: str
    entered: int
    kept: int
    dropped: int
    reasons: Mapping[str, int]


def read_funnel(folder: Path) -> list[Step]:
    """Read `funnel.json` of a pack_shards folder; empty if there is none.

    Raises:
        ValueError: The accounts do not add up.
    """
    file = folder / "funnel.json"
    if not file.is_file():
        return []
    steps = [
        Step(
            stage=entry["stage"],
            filter=entry["filter"],
            entered=entry["in"],
            kept=entry["kept"],
            dropped=entry["dropped"],
            reasons=entry["reasons"],
        )
        for entry in json.loads(file.read_text(encoding="utf-8"))
    ]
    for step in steps:
        if step.kept + step.dropped != step.entered:
            raise ValueError(
                f"{file}: {step.stage}/{step.filter} took {step.entered} in but accounts for "
                f"{step.kept} kept and {step.dropped} dropped; rerun the stage pack_shards"
            )
    return steps
