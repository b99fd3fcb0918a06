"""What each filter does beside the others: alone, in its place in the sequence, and on its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from data_filters.io.files import read_json, write_json

COMBINATIONS: Final = "broken.json"
"""File of a group: how many rows break which set of rules."""


class Objector(NamedTuple):
    """A rule: the filter that it belongs to, and the reason that it gives."""

    filter: str
    reason: str


def ablation(
    rules: Sequence[Objector], combinations: Mapping[int, int], *, filters: Sequence[str]
) -> dict[str, Any]:
    """Derive the effect of each filter from how many rows break which rules.

    Args:
        rules: Bit i of a combination is rule i.
        combinations: Rows by the set of rules that they break; 0 for rows that break none.
        filters: Names in the order in which they judge, those without a rule as well.

    Returns:
        JSON: `rows`; for each filter the rows it would drop `alone`, those it drops
        `in_sequence`, and those that it `only` drops, which would be kept without it; for each pair
        of filters the rows to which both object (`overlap`, a symmetric matrix, `alone` on its
        diagonal); for each rule the rows that break it.
    """
    place = {name: number for number, name in enumerate(filters)}
    alone, first, only = ([0] * len(filters) for _ in range(3))
    overlap = [[0] * len(filters) for _ in filters]
    broken = [0] * len(rules)
    for mask, rows in combinations.items():
        bits = [bit for bit in range(len(rules)) if mask >> bit & 1]
        objecting = sorted({place[rules[bit].filter] for bit in bits})
        for bit in bits:
            broken[bit] += rows
        for one in objecting:
            alone[one] += rows
            for other in objecting:
                overlap[one][other] += rows
        if objecting:
            first[objecting[0]] += rows
        if len(objecting) == 1:
            only[objecting[0]] += rows
    return {
        "rows": sum(combinations.values()),
        "filters": [
            {"filter": name, "alone": alone[n], "in_sequence": first[n], "only": only[n]}
            for n, name in enumerate(filters)
        ],
        "overlap": overlap,
        "rules": [
            {"filter": rule.filter, "reason": rule.reason, "rows": count}
            for rule, count in zip(rules, broken, strict=True)
        ],
    }


def write_combinations(file: Path, combinations: Mapping[int, int]) -> None:
    """Write how many rows break which set of rules."""
    write_json(file, {str(mask): rows for mask, rows in sorted(combinations.items())})


def read_combinations(file: Path) -> dict[int, int]:
    """Read what `write_combinations` wrote."""
    return {int(mask): rows for mask, rows in read_json(file).items()}


def write_ablation(
    folder: Path, groups: Iterable[Path], rules: Sequence[Objector], *, filters: Sequence[str]
) -> None:
    """Write `ablation.json` from the combinations of each group."""
    combinations: Counter[int] = Counter()
    for group in groups:
        combinations.update(read_combinations(group / COMBINATIONS))
    write_json(folder / "ablation.json", ablation(rules, combinations, filters=filters))
