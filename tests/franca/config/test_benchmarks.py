"""Parameters of single benchmarks: what is refused, and in which words."""

import pytest
from pydantic import ValidationError

from franca.config.benchmarks import Correspondence, Knn
from tests.franca.config.sections import KNN, MATCHES


def test_headline_must_be_reported():
    with pytest.raises(ValidationError, match="headline 5 is not among neighbours"):
        Knn(**(KNN | {"headline": 5}))


def test_bins_are_of_a_reported_threshold():
    with pytest.raises(
        ValidationError, match=r"bin_threshold 0.3 is not among the thresholds in m"
    ):
        Correspondence(**(MATCHES | {"bin_threshold": 0.3}))
