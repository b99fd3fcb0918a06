"""What a filter is: it keeps, or drops with a reason. Counting and timing live here, once.

Two kinds share one vocabulary. A `Filter` judges one record after another (images). A `RuleFilter`
states its conditions as SQL, so that all of them judge a table in one vectorised pass (metadata).
Both declare the reasons they may give, and a reason is a word, never a sentence: it becomes a row
of the funnel.
"""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, NamedTuple, TypeVar

import pyarrow as pa

Record = TypeVar("Record")


class Verdict(NamedTuple):
    """Keep (`reason` is None), or drop because. `detail` says what the reason refers to."""

    reason: str | None = None
    detail: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the record stays."""
        return self.reason is None


KEEP: Final = Verdict()


def drop(reason: str, detail: str | None = None) -> Verdict:
    """Drop the record because of `reason`."""
    return Verdict(reason, detail)


class Filter(ABC, Generic[Record]):
    """Judge records one at a time. A new filter is a name, its reasons and one method."""

    name: ClassVar[str]
    reasons: ClassVar[tuple[str, ...]]
    gate: ClassVar[bool] = False
    """Whether those behind it cannot, or must not, look at what it drops."""

    def __init__(self) -> None:
        self.judged = 0
        self.dropped: Counter[str] = Counter()
        self.seconds = 0.0

    @abstractmethod
    def judge(self, record: Record) -> Verdict:
        """Return `KEEP`, or `drop(reason)` with one of the declared reasons."""

    def __call__(self, record: Record) -> Verdict:
        """Judge one record, counting and timing."""
        start = time.perf_counter()
        verdict = self.judge(record)
        self.seconds += time.perf_counter() - start
        self.judged += 1
        if verdict.reason is not None:
            assert verdict.reason in self.reasons, (self.name, verdict.reason, self.reasons)
            self.dropped[verdict.reason] += 1
        return verdict


def objections(filters: Sequence[Filter[Record]], record: Record) -> list[tuple[str, Verdict]]:
    """Ask filters in order; return the name and verdict of every one that drops.

    The first of them is the one that the accounts of a chain know; the others say what each filter
    does alone. After a gate that drops, nobody is asked.
    """
    found = []
    for each in filters:
        verdict = each(record)
        if not verdict.kept:
            found.append((each.name, verdict))
            if each.gate:
                break
    return found


@dataclass(frozen=True)
class Rule:
    """Drop the rows for which an SQL condition is true.

    Attributes:
        reason: The word recorded.
        condition: A DuckDB expression over the columns of `records.METADATA`. Null counts as false.
    """

    reason: str
    condition: str


@dataclass(frozen=True)
class SqlFunction:
    """A function of our own that conditions may call.

    Attributes:
        name: Its name in SQL.
        function: From an Arrow array of texts to one of texts, of the same length.
    """

    name: str
    function: Callable[[pa.Array], pa.Array]


class RuleFilter(ABC):
    """A filter whose conditions are SQL, evaluated together with all others in one pass."""

    name: str

    def functions(self) -> tuple[SqlFunction, ...]:
        """The functions that the conditions call; none, as a rule."""
        return ()

    @abstractmethod
    def rules(self) -> tuple[Rule, ...]:
        """The conditions under which a row is dropped, in order; empty when switched off."""

    def surely_kept(self) -> str | None:
        """A condition, quick to evaluate, under which no rule is broken; none by default.

        Where it is true for most rows, the rules are evaluated for the others only.
        """
        return None
