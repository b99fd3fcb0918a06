"""Retrieval sets on disk: revisited Oxford and Paris, and views among the rendered pairs."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from franca.data.scenes.layouts import write_pairs
from franca.eval.inputs.retrieval import descriptors, open_retrieval
from tests.franca.eval.worlds import picture, rendered_pair

NAMES = ["tower_1", "tower_2", "bridge_1"]
TRUTH = {
    "imlist": NAMES,
    "qimlist": ["tower_q"],
    "gnd": [{"bbx": [2, 3, 10, 13], "easy": [0], "hard": [1], "junk": []}],
}


@pytest.fixture
def oxford(tmp_path):
    (tmp_path / "jpg").mkdir()
    rng = np.random.default_rng(0)
    for name in [*NAMES, "tower_q"]:
        picture(rng).save(tmp_path / "jpg" / f"{name}.jpg")
    (tmp_path / "gnd_roxford5k.json").write_text(json.dumps(TRUTH))
    return tmp_path


def opened(root, layout="revisited", limit=None):
    return open_retrieval(layout, root, split="roxford5k", limit=limit)


def test_queries_are_cut_to_their_box(oxford):
    found = opened(oxford)
    assert found.queries.image(0).size == (8, 10)
    assert [found.database.image(i).size for i in range(3)] == [(16, 16)] * 3
    assert (found.relevant[0].easy, found.relevant[0].hard) == ([0], [1])


def test_another_box_or_truth_is_another_set(oxford):
    digests = {opened(oxford).digest, opened(oxford).digest}
    for change in ({"bbx": [2, 3, 10, 12.5]}, {"junk": [2]}):
        rows = [TRUTH["gnd"][0] | change]
        (oxford / "gnd_roxford5k.json").write_text(json.dumps(TRUTH | {"gnd": rows}))
        digests.add(opened(oxford).digest)
    assert len(digests) == 3


def test_what_is_missing_is_named_with_the_remedy(oxford):
    (oxford / "jpg" / "bridge_1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"bridge_1.jpg: an image of a retrieval set"):
        opened(oxford)
    (oxford / "gnd_roxford5k.json").write_text(json.dumps(TRUTH | {"qimlist": []}))
    with pytest.raises(ValueError, match="0 queries but ground truth of 1"):
        opened(oxford)
    (oxford / "gnd_roxford5k.json").write_text("{}")
    with pytest.raises(ValueError, match=r"gnd_roxford5k.json: expected imlist, qimlist and gnd"):
        opened(oxford)
    (oxford / "gnd_roxford5k.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"gnd_roxford5k.pkl with `franca eval convert`"):
        opened(oxford)
    with pytest.raises(ValueError, match="'voc' holds no retrieval set"):
        opened(oxford, layout="voc")


def test_rendered_pairs_are_views(tmp_path):
    write_pairs(tmp_path, [rendered_pair(seed) for seed in range(6)])
    found = opened(tmp_path, layout="pairs")
    rows = json.loads((tmp_path / "pairs.json").read_text())
    for number, (row, relevant) in enumerate(zip(rows, found.relevant, strict=True)):
        own = {"geometric": relevant.easy, "semantic": relevant.hard}[row["kind"]]
        assert own == [number]
        assert all(rows[other]["class"] == row["class"] for other in relevant.junk)
        assert number not in relevant.junk
    assert len(opened(tmp_path, layout="pairs", limit=2).queries) == 2
    assert len(opened(tmp_path, layout="pairs", limit=2).database) == 6


def test_descriptors_average_the_sizes(store, oxford):
    images = opened(oxford).database
    both = descriptors(store, images)
    each = [
        descriptors(dataclasses.replace(store, retrieval_sides=(side,)), images)
        for side in store.retrieval_sides
    ]
    torch.testing.assert_close(each[0].norm(dim=1), torch.ones(3))
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    assert not torch.allclose(each[0], each[1])
