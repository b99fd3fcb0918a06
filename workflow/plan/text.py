"""Numbers and tables for people."""

import textwrap
from collections.abc import Sequence

_WIDTH = 100
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def scaled(value: float, unit: str) -> str:
    """Write a number with three digits and a decimal prefix.

    >>> scaled(85.7e6, ""), scaled(0.5, "B"), scaled(1.15e12, "B")
    ('85.7 M', '0.5 B', '1.15 TB')
    """
    for factor, prefix in _PREFIXES:
        if value >= factor:
            return f"{digits(value / factor)} {prefix}{unit}"
    return f"{digits(value)} {unit}".rstrip()


def between(low: float, high: float, unit: str) -> str:
    """Write a range in the prefix of its upper end.

    >>> between(420e6, 630e6, ""), between(5e12, 5e12, "B")
    ('420 to 630 M', '5.00 TB')
    """
    if low == high:
        return scaled(high, unit)
    factor = next((factor for factor, _ in _PREFIXES if high >= factor), 1.0)
    return f"{digits(low / factor)} to {scaled(high, unit)}"


def share(low: float, high: float) -> str:
    """Write a range of shares in per cent.

    >>> share(0.5, 0.7), share(1.0, 1.0)
    ('50 to 70%', '100%')
    """
    return f"{high:.0%}" if low == high else f"{100 * low:.0f} to {high:.0%}"


def count(value: float) -> str:
    """Write a whole number with separators."""
    return f"{value:,.0f}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align cells in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return lines


def note(text: str) -> list[str]:
    """Break a paragraph into lines."""
    return textwrap.wrap(text, _WIDTH)


def digits(value: float) -> str:
    """Round to three digits from 1 upwards, and to two below.

    >>> digits(1430.2), digits(27.36), digits(0.0361)
    ('1,430', '27.4', '0.036')
    """
    if value >= 100:
        return f"{value:,.0f}"
    if value < 1:
        return f"{value:.2g}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
