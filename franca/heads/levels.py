"""The nested levels of a Matryoshka head: features and prototypes of each, without torch."""

from collections.abc import Sequence
from itertools import pairwise


def level_widths(levels: Sequence[float], *, dim: int) -> list[int]:
    """Return the number of features of each level.

    Args:
        levels: ascending fractions of the features.
        dim: width of the feature.

    Raises:
        ValueError: if the fractions do not ascend, or one is too fine to have a feature.
    """
    # The small term keeps fractions such as 1/3 from losing a feature to rounding.
    widths = [int(fraction * dim + 1e-6) for fraction in levels]
    if not widths or widths[0] < 1 or widths[-1] > dim or any(a >= b for a, b in pairwise(widths)):
        raise ValueError(
            f"levels {list(levels)} of {dim} features give widths {widths}: "
            f"they must ascend from at least 1 to at most {dim}"
        )
    return widths


def level_prototypes(levels: Sequence[float], *, dim: int, num_prototypes: int) -> list[int]:
    """Return the number of prototypes of each level, in proportion to its features.

    Args:
        levels: ascending fractions of the features.
        dim: width of the feature.
        num_prototypes: of the last level.

    Raises:
        ValueError: as `level_widths`, or if the first level is left without prototypes.
    """
    widths = level_widths(levels, dim=dim)
    counts = [num_prototypes * width // widths[-1] for width in widths]
    if not counts[0]:
        raise ValueError(
            f"num_prototypes {num_prototypes} leaves level {levels[0]} without prototypes"
        )
    return counts
