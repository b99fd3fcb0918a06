"""What is written of evaluation images is what leaks are looked for in."""

import numpy as np
import pytest

from data_filters.config import Deduplicate
from data_filters.dedup.evaluation_index import leak_finder, read_index, write_index
from data_filters.dedup.leakage import Signatures
from workflow.params import load

FAR, NEAR = 2**50 - 1, 0b11
ROW = {
    "set": "voc", "place": "a.jpg", "sha256": "0a" * 32, "pixels": "0b" * 32, "perceptual": 0,
    "mirrored": FAR, "contrast": 9.0, "cropped": [],
}  # fmt: skip


@pytest.fixture
def section():
    def make(*, embedded, **changes):
        cfg = load(scale="micro").parameters.deduplicate
        semantic = {
            "network": {"kind": "timm", "model": "vit", "file": "w", "sha256": "0c" * 32},
            "device": "cpu", "batch_size": 1, "min_cosine": 0.9, "evaluation_min_cosine": 0.6,
            "selection": {"kind": "components", "lists": None, "probes": 1},
        }  # fmt: skip
        changes |= {"semantic": semantic if embedded else None}
        return Deduplicate.model_validate({**cfg.model_dump(), **changes})

    return make


def training(*hashes, contrast=9.0, cosines=None):
    """Images that have nothing but their looks, and maybe their meaning, of the one indexed."""
    others = np.array([bytes([index + 50]) * 16 for index in range(len(hashes))], "S16")
    angles = np.arccos(np.array(cosines or [0.0] * len(hashes)))
    return Signatures(
        sha256=others,
        pixels=others,
        perceptual=np.array(hashes, np.uint64),
        mirrored=np.array(hashes, np.uint64),
        contrast=np.full(len(hashes), contrast, np.float32),
        embeddings=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16),
    )


def leaks(cfg, folder, images):
    return leak_finder(read_index(folder, cfg), cfg).find(images).images.tolist()


def test_the_section_says_what_is_a_leak(tmp_path, section):
    write_index(tmp_path, [ROW], None)
    assert not (tmp_path / "evaluation_index.npy").exists()
    images = training(0, NEAR, 0b111, FAR)
    limits = {"evaluation_radius": 2, "min_contrast": 6.0}
    for mirrored, found in ((True, [0, 1, 3]), (False, [0, 1])):
        cfg = section(embedded=False, evaluation_mirrored=mirrored, **limits)
        assert leaks(cfg, tmp_path, images) == found
        assert leaks(cfg, tmp_path, training(0, contrast=5.0)) == []
        assert read_index(tmp_path, cfg).places.to_pylist() == ["voc: a.jpg"]


def test_embeddings_are_compared_where_the_section_asks_for_them(tmp_path, section):
    write_index(tmp_path, [ROW], np.array([[1, 0]], np.float16))
    images = training(2**20 - 1, 2**20 - 1, cosines=[0.7, 0.5])
    assert leaks(section(embedded=True, evaluation_radius=2), tmp_path, images) == [0]
    assert leaks(section(embedded=False, evaluation_radius=2), tmp_path, images) == []
