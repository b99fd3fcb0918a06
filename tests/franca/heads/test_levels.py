"""Levels: whole features and prototypes of ascending fractions, or an error that says which."""

import pytest

from franca.heads.levels import level_prototypes, level_widths

FIVE = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def test_features_and_prototypes_of_the_paper():
    assert level_widths(FIVE, dim=768) == [48, 96, 192, 384, 768]
    prototypes = [8192, 16384, 32768, 65536, 131072]
    assert level_prototypes(FIVE, dim=768, num_prototypes=131072) == prototypes


def test_a_third_of_the_features_is_not_rounded_down():
    assert level_widths((1 / 3, 2 / 3), dim=48) == [16, 32]


@pytest.mark.parametrize("levels", [(), (0.5, 0.5), (1.0, 0.5), (0.001, 1.0), (1.5,)])
def test_levels_that_do_not_ascend_within_the_features_are_refused(levels):
    with pytest.raises(ValueError, match="must ascend from at least 1 to at most 16"):
        level_widths(levels, dim=16)


def test_a_level_without_prototypes_is_named():
    with pytest.raises(ValueError, match=r"leaves level 0\.0625 without prototypes"):
        level_prototypes(FIVE, dim=16, num_prototypes=8)
