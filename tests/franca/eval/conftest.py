"""Stored results of the reference implementations, and a store over a small model."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from franca.eval.store import FeatureStore
from franca.eval.transforms import CentreCrop, Square
from tests.franca.eval.worlds import BlockModel

ORACLES = Path(__file__).parents[2] / "oracles"


@pytest.fixture
def oracle():
    def load(name):
        return np.load(ORACLES / f"{name}.npz", allow_pickle=False)

    return load


@pytest.fixture
def store(tmp_path):
    return FeatureStore(
        model=BlockModel(),
        weights_digest="w",
        crop=CentreCrop(resize=16, crop=16),
        square=Square(side=16),
        frame_side=16,
        pair_side=16,
        retrieval_sides=(16, 8),
        blocks=2,
        patch_dtype="float16",
        max_bytes=math.inf,
        folder=tmp_path / "features",
        batch_size=4,
        num_workers=0,
        device=torch.device("cpu"),
    )
