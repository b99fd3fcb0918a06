"""Batches of one size: what an image gets depends on that image alone."""

import numpy as np
import pytest

from data_filters.models.network import Network, normalised, vectors


class Recorder(Network):
    """Notes the shapes it is given, and gives back the means."""

    def __init__(self):
        self.shapes = []

    def prepare(self, pixels):
        return pixels.astype(np.float32)

    def forward(self, batch):
        self.shapes.append(batch.shape)
        return batch.mean(axis=(1, 2))


@pytest.mark.parametrize("number", [1, 3, 4, 9])
def test_a_short_batch_is_filled_up_and_nothing_of_that_comes_back(number):
    rows = [np.full((2, 3, 5), index, np.float32) for index in range(number)]
    network = Recorder()
    found = vectors(network, rows, batch_size=4)
    assert set(network.shapes) == {(4, 2, 3, 5)}
    assert found.tolist() == [[float(index)] * 5 for index in range(number)]


def test_rows_of_length_one():
    rows = np.array([[3, 4], [0, 0]], np.float32)
    assert normalised(rows) == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
