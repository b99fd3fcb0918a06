"""The accounts: what every filter took in, kept and dropped, why, and that it adds up."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from data_filters.io.files import read_json, write_json

FUNNEL: Final = "funnel.json"
"""File of a published folder that holds its accounts."""


class LedgerError(RuntimeError):
    """The accounts do not add up: a bug, or files that were edited by hand."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One filter's account.

    Attributes:
        stage: The stage it belongs to.
        filter: Its name.
        entered: Rows it was asked about.
        reasons: Rows dropped, by reason.
    """

    stage: str
    filter: str
    entered: int
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def dropped(self) -> int:
        """Rows dropped for any reason."""
        return sum(self.reasons.values())

    @property
    def kept(self) -> int:
        """Rows that went on."""
        return self.entered - self.dropped

    def to_json(self) -> dict[str, Any]:
        """The form of `funnel.json`."""
        return {
            "stage": self.stage,
            "filter": self.filter,
            "in": self.entered,
            "kept": self.kept,
            "dropped": self.dropped,
            "reasons": dict(sorted(self.reasons.items())),
        }

    @classmethod
    def from_json(cls, account: dict[str, Any]) -> "Entry":
        """Read what `to_json` wrote.

        Raises:
            LedgerError: The stored numbers contradict each other.
        """
        entry = cls(
            stage=account["stage"],
            filter=account["filter"],
            entered=account["in"],
            reasons=account["reasons"],
        )
        if (entry.kept, entry.dropped) != (account["kept"], account["dropped"]) or entry.kept < 0:
            raise LedgerError(
                f"{entry.stage}/{entry.filter}: {account['in']} in is not {account['kept']} kept "
                f"plus {account['dropped']} dropped for reasons {account['reasons']}"
            )
        return entry


class Tally:
    """Count a stage's verdicts and turn them into sequential accounts.

    Args:
        stage: Name of the stage.
        filters: Names of its filters, in the order in which they judge.
    """

    def __init__(self, stage: str, filters: Sequence[str]) -> None:
        self._stage = stage
        self._filters = tuple(filters)
        self._dropped: dict[str, Counter[str]] = {name: Counter() for name in filters}
        self.total = 0

    def add(self, name: str | None, reason: str | None, count: int = 1) -> None:
        """Count `count` rows with the same verdict; both None for kept ones.

        Raises:
            LedgerError: A filter that the stage does not have, or a filter without a reason.
        """
        if (name is None) != (reason is None) or (name is not None and name not in self._dropped):
            raise LedgerError(
                f"{self._stage}: a verdict by filter {name!r} for reason {reason!r}; the stage's "
                f"filters are {', '.join(self._filters)}"
            )
        self.total += count
        if name is not None and reason is not None:
            self._dropped[name][reason] += count

    @property
    def kept(self) -> int:
        """Rows that no filter dropped."""
        return self.total - sum(reasons.total() for reasons in self._dropped.values())

    def entries(self) -> list[Entry]:
        """One account per filter, each taking in what the one before it kept."""
        entered, entries = self.total, []
        for name in self._filters:
            entry = Entry(
                stage=self._stage,
                filter=name,
                entered=entered,
                reasons=dict(self._dropped[name]),
            )
            entries.append(entry)
            entered = entry.kept
        return entries


def merge(groups: Iterable[Sequence[Entry]]) -> list[Entry]:
    """Add up the accounts of groups that the same filters judged.

    Raises:
        LedgerError: The groups were judged by other filters, or in another order.
    """
    first, *others = groups
    merged = list(first)
    for entries in others:
        names = [[(entry.stage, entry.filter) for entry in each] for each in (merged, entries)]
        if names[0] != names[1]:
            raise LedgerError(f"groups were judged by {names[0]} and by {names[1]}")
        merged = [
            Entry(
                stage=one.stage,
                filter=one.filter,
                entered=one.entered + other.entered,
                reasons=dict(Counter(one.reasons) + Counter(other.reasons)),
            )
            for one, other in zip(merged, entries, strict=True)
        ]
    return merged


def write_accounts(folder: Path, entries: Iterable[Entry]) -> None:
    """Write the accounts of a folder about to be published."""
    write_json(folder / FUNNEL, [entry.to_json() for entry in entries])


def read_accounts(folder: Path) -> list[Entry]:
    """Read the accounts of a published folder.

    Raises:
        LedgerError: The stored numbers contradict each other.
    """
    return [Entry.from_json(account) for account in read_json(folder / FUNNEL)]


def enforce(entries: Iterable[Entry]) -> None:
    """Check that the accounts form a chain.

    Raises:
        LedgerError: A filter took in another number than the filter before it kept.
    """
    previous: Entry | None = None
    for entry in entries:
        if entry.kept < 0:
            raise LedgerError(
                f"{entry.stage}/{entry.filter} dropped {entry.dropped} of {entry.entered}"
            )
        if previous is not None and previous.kept != entry.entered:
            raise LedgerError(
                f"{previous.stage}/{previous.filter} kept {previous.kept} rows, but "
                f"{entry.stage}/{entry.filter} took in {entry.entered}"
            )
        previous = entry
