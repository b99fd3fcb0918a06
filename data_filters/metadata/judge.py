"""All metadata filters as one SQL expression: every rule that a row breaks is a bit of a number."""

# ruff: noqa: S608  the SQL is made of our own words

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_filters.base import RuleFilter
from data_filters.records import METADATA_VERDICT

MAX_RULES: Final = 64

Masks = npt.NDArray[np.uint64]


class NamedRule(NamedTuple):
    """A rule of the pass, with its filter's name."""

    filter: str
    reason: str
    condition: str


def named_rules(filters: Sequence[RuleFilter]) -> list[NamedRule]:
    """List the rules of all filters in the order in which they judge: bit i is rule i."""
    rules = [
        NamedRule(each.name, rule.reason, rule.condition)
        for each in filters
        for rule in each.rules()
    ]
    assert len(rules) <= MAX_RULES, [rule.reason for rule in rules]
    return rules


def judged_sql(rows: str, rules: Sequence[NamedRule]) -> str:
    """Return a query for rows of metadata with a column `broken`, whose bit i is rule i.

    Args:
        rows: A query that yields the columns of `records.METADATA`.
        rules: What `named_rules` returned.
    """
    bits = " + ".join(
        f"CASE WHEN {rule.condition} THEN {1 << bit}::UBIGINT ELSE 0::UBIGINT END"
        for bit, rule in enumerate(rules)
    )
    return f"SELECT *, {bits or '0::UBIGINT'} AS broken FROM ({rows})"


def verdicts(judged: pa.RecordBatch, rules: Sequence[NamedRule]) -> pa.Table:
    """Turn judged rows into verdicts: the first rule that a row breaks gives filter and reason."""
    masks = judged["broken"].to_numpy()
    first = pa.array(first_broken(masks), mask=masks == 0)
    filters = pa.array([rule.filter for rule in rules], pa.string())
    reasons = pa.array([rule.reason for rule in rules], pa.string())
    columns = {
        "part": judged["part"],
        "row": judged["row"],
        "kept": pa.array(masks == 0),
        "filter": filters.take(first),
        "reason": reasons.take(first),
        "broken": judged["broken"],
    }
    return pa.table(columns, schema=METADATA_VERDICT)


def first_broken(masks: Masks) -> npt.NDArray[np.int64]:
    """Return the number of each mask's lowest bit; meaningless where no bit is set."""
    lowest = masks & (~masks + np.uint64(1))
    return np.bitwise_count(lowest - np.uint64(1)).astype(np.int64) % MAX_RULES
