"""Keep a share of the rows by a keyed hash: order, files and machine change nothing."""

import hashlib
from typing import Final

from data_filters.base import Rule, RuleFilter

_DIGITS: Final = 13
"""Hexadecimal digits compared: 52 bits, which a float64 holds exactly."""


class SampleFilter(RuleFilter):
    """Keep a row if and only if hash(seed, row id) is below the share.

    A row's hash does not depend on the share, so a smaller share is a subset of a larger one.

    Args:
        fraction: Share of rows that pass.
        seed: Key of the hash.
    """

    name = "sample"

    def __init__(self, *, fraction: float, seed: int) -> None:
        self._fraction, self._prefix = fraction, f"franca/sample/{seed}/"

    def rules(self) -> tuple[Rule, ...]:
        """Return the condition under which a row is not drawn; strings compare as numbers do."""
        if self._fraction == 1:
            return ()
        drawn = f"left(sha256(concat('{self._prefix}', row_id)), {_DIGITS})"
        return (Rule("not_sampled", f"{drawn} >= '{_threshold(self._fraction)}'"),)

    def keeps(self, row_id: str) -> bool:
        """Decide for one row, as the SQL does for all."""
        digest = hashlib.sha256((self._prefix + row_id).encode()).hexdigest()
        return self._fraction == 1 or digest[:_DIGITS] < _threshold(self._fraction)


def _threshold(fraction: float) -> str:
    # Downwards: rounding a share just below 1 up would take one digit more, and sort before all.
    return f"{int(fraction * 16**_DIGITS):0{_DIGITS}x}"
