"""Signatures and embeddings of images."""

import numpy as np
import pytest

from data_filters.dedup import describe as module
from data_filters.dedup.describe import Describer, stacked
from data_filters.io.pixels import UnreadableImageError
from data_filters.models.network import Network


class Channels(Network):
    def prepare(self, pixels):
        return pixels.mean(axis=(0, 1)).astype(np.float32)

    def forward(self, batch):
        return batch


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_embeddings_of_length_one_in_the_order_of_the_images(jpeg, picture, number, monkeypatch):
    decoded = []
    decode = module.decode
    monkeypatch.setattr(module, "decode", lambda image: decoded.append(1) or decode(image))
    describer = Describer(Channels(), batch_size=2)
    signatures = [describer.add(jpeg(index)) for index in range(number)]
    found = describer.embeddings()
    assert (len(decoded), len({each.sha256 for each in signatures}), len(found)) == (number,) * 3
    for index, row in enumerate(found):
        means = picture(index).mean(axis=(0, 1))
        assert row == pytest.approx(means / np.linalg.norm(means), abs=5e-3)


def test_without_a_network_there_are_signatures_only(jpeg):
    describer = Describer(None, batch_size=1)
    assert describer.add(jpeg(0), sha256="known").sha256 == "known"
    assert describer.embeddings().shape == (0, 0)
    with pytest.raises(UnreadableImageError):
        describer.add(jpeg(0)[:400])


def test_what_is_empty_has_no_width_to_disagree():
    rows = np.ones((2, 3), np.float16)
    assert stacked([np.zeros((0, 0), np.float16), rows]).tolist() == rows.tolist()
