"""Stored results of the reference implementations."""

from pathlib import Path

import numpy as np
import pytest

ORACLES = Path(__file__).parents[2] / "oracles"


@pytest.fixture
def oracle():
    def load(name):
        return np.load(ORACLES / f"{name}.npz", allow_pickle=False)

    return load
