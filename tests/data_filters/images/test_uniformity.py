"""Entropy of grey levels."""

import numpy as np
import pytest

from data_filters.images.candidate import Candidate
from data_filters.images.uniformity import UniformityFilter, histogram_entropy


@pytest.mark.parametrize(
    ("levels", "bits"), [([7] * 8, 0.0), ([1, 1, 9, 9], 1.0), (list(range(256)), 8.0)]
)
def test_entropy_of_known_histograms(levels, bits):
    assert histogram_entropy(np.array([levels], np.float32)) == pytest.approx(bits)


def test_reasons(jpeg, encode):
    judge = UniformityFilter(min_entropy=1.0)
    assert judge(Candidate(jpeg(0))).kept
    blank = np.full((48, 64, 3), 200, np.uint8)
    assert judge(Candidate(encode(blank))).reason == "near_uniform"


def test_the_whole_image_counts_and_the_limit_passes(encode):
    half = np.zeros((48, 64, 3), np.uint8)
    half[24:] = 255  # one bit, though every row is uniform
    candidate = Candidate(encode(half, "PNG"))
    assert UniformityFilter(min_entropy=1.0)(candidate).kept
    assert UniformityFilter(min_entropy=1.001)(candidate).reason == "near_uniform"
