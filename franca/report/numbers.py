"""How numbers are written: as many digits as their interval supports, and a true minus sign."""

import math

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def count(number: int) -> str:
    """Write a count with thin spaces between thousands: 12345 -> 12 345."""
    return f"{number:,}".replace(",", THIN_SPACE)


def share(part: int, whole: int) -> str:
    """Write a share as a percentage; a dash where the whole is nothing."""
    return share_of_one(part / whole) if whole else NONE


def share_of_one(fraction: float) -> str:
    """Write a fraction of one as a percentage."""
    return f"{100 * fraction:.1f}{THIN_SPACE}%"


def size(num_bytes: int) -> str:
    """Write a size in the largest decimal unit that leaves at least one whole digit."""
    amount, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    places = 0 if units[0] == "B" else 1
    return f"{amount:.{places}f}{THIN_SPACE}{units[0]}"


def decimals(half_width: float | None) -> int:
    """Return how many decimals an interval of that half width supports, between 1 and 4."""
    if half_width is None or half_width <= 0 or not math.isfinite(half_width):
        return 3
    return min(4, max(1, 1 - math.floor(math.log10(half_width))))


def fixed(number: float, places: int) -> str:
    """Write a number with that many decimals and a true minus sign."""
    if not math.isfinite(number):
        return "not finite"
    return f"{number:.{places}f}".replace("-", MINUS)


def signed(number: float, places: int) -> str:
    """Write a difference: always with its sign."""
    return f"{number:+.{places}f}".replace("-", MINUS) if math.isfinite(number) else "not finite"


def interval(bounds: tuple[float, float], places: int) -> str:
    """Write a 95 % interval in brackets."""
    return f"[{fixed(bounds[0], places)}, {fixed(bounds[1], places)}]"


def half_width(bounds: tuple[float, float] | None) -> float | None:
    """Return half the width of an interval, None where there is none."""
    return (bounds[1] - bounds[0]) / 2 if bounds else None
