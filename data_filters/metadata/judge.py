"""All metadata filters as one SQL expression: every rule that a row breaks is a bit of a number."""

# ruff: noqa: S608  the SQL is made of our own words

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_filters.base import RuleFilter
from data_filters.records import METADATA_VERDICT

MAX_RULES: Final = 64

Masks = npt.NDArray[np.uint64]


class NamedRule(NamedTuple):
    """A rule of the pass, with its filter's name and what surely satisfies the filter."""

    filter: str
    reason: str
    condition: str
    surely_kept: str | None = None


def named_rules(filters: Sequence[RuleFilter]) -> list[NamedRule]:
    """List the rules of all filters in the order in which they judge: bit i is rule i."""
    rules = [
        NamedRule(each.name, rule.reason, rule.condition, each.surely_kept())
        for each in filters
        for rule in each.rules()
    ]
    assert len(rules) <= MAX_RULES, [rule.reason for rule in rules]
    return rules


def declare_functions(connection: duckdb.DuckDBPyConnection, filters: Sequence[RuleFilter]) -> None:
    """Make the functions that filters call known to a database; they see columns, not rows."""
    for function in dict.fromkeys(function for each in filters for function in each.functions()):
        connection.create_function(
            function.name,
            function.function,
            ["VARCHAR"],
            "VARCHAR",
            type="arrow",
            null_handling="special",
        )


def judged_sql(rows: str, rules: Sequence[NamedRule]) -> str:
    """Return a query for rows of metadata with a column `broken`, whose bit i is rule i.

    Args:
        rows: A query that yields the columns of `records.METADATA`.
        rules: What `named_rules` returned.
    """
    terms = []
    for (_, surely), each in groupby(
        enumerate(rules), key=lambda r: (r[1].filter, r[1].surely_kept)
    ):
        bits = " + ".join(
            f"CASE WHEN {rule.condition} THEN {1 << bit}::UBIGINT ELSE 0::UBIGINT END"
            for bit, rule in each
        )
        terms.append(f"CASE WHEN {surely} THEN 0::UBIGINT ELSE {bits} END" if surely else bits)
    return f"SELECT *, {' + '.join(terms) or '0::UBIGINT'} AS broken FROM ({rows})"


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
