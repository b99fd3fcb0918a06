"""The accounts: what every filter of the data half kept and dropped, in sequence and alone."""

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


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one filter does beside the others, in rows.

    Attributes:
        filter: Its name.
        alone: Rows it would drop were it the only one.
        in_sequence: Rows it drops in its place, after the filters before it.
        only: Rows that no other filter drops, which would be kept without it.
        overlap: Rows it would drop together with each filter, itself included.
    """

    filter: str
    alone: int
    in_sequence: int
    only: int
    overlap: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What filters that judge the same rows do beside each other."""

    rows: int
    filters: tuple[Effect, ...]


def read_effects(folder: Path) -> Effects | None:
    """Read `ablation.json` of filter_metadata or filter_images; None if there is none."""
    file = folder / "ablation.json"
    if not file.is_file():
        return None
    stored = json.loads(file.read_text(encoding="utf-8"))
    filters = [
        Effect(**effect, overlap=tuple(overlap))
        for effect, overlap in zip(stored["filters"], stored["overlap"], strict=True)
    ]
    return Effects(rows=stored["rows"], filters=tuple(filters))


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
