"""Each scorer against its definition."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from data_filters.config_models import OpenClip
from data_filters.images.scorers import CaptionSimilarity, EntryScore, HeadScore, PromptProbability
from data_filters.models.build import build_network
from data_filters.models.head import Head
from data_filters.models.network import vectors


@pytest.fixture(scope="module")
def clip(tiny_clip):
    cfg = TypeAdapter(OpenClip).validate_python(tiny_clip)
    return build_network(cfg, device="cpu", batch_size=4, key="key")


@pytest.fixture(scope="module")
def embedded(clip, picture):
    return vectors(clip, [clip.prepare(picture(index)) for index in range(3)], batch_size=4)


def test_similarity_is_the_cosine_with_the_images_own_caption(clip, embedded):
    captions = ["a cat", "a dog", "the sea"]
    found = CaptionSimilarity(clip).score(embedded, captions)
    assert found == pytest.approx(np.diag(embedded @ clip.texts(captions).T), abs=1e-6)
    turned = CaptionSimilarity(clip).score(embedded, captions[::-1])
    assert abs(turned - found).max() > 1e-3


def test_prompts_are_a_softmax_over_all_descriptions(clip, embedded):
    prompts, against = ["a page of text", "a screenshot"], ["a photo"]
    found = PromptProbability(clip, prompts=prompts, against=against).score(embedded, [""] * 3)
    logits = clip.scale * embedded.astype(float) @ clip.texts([*prompts, *against]).T.astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found == pytest.approx(shares[:, :2].sum(axis=1), abs=1e-5)
    other = PromptProbability(clip, prompts=against, against=prompts).score(embedded, [""] * 3)
    assert found + other == pytest.approx(np.ones(3), abs=1e-5)


def test_a_head_reads_embeddings_of_its_own_width_only(clip, embedded):
    weight = np.arange(16, dtype=np.float32)[None] / 16
    head = Head([(weight, np.float32([2.0]))], activation="none", output="linear")
    assert HeadScore(clip, head).score(embedded, [""] * 3) == pytest.approx(
        embedded @ weight[0] + 2, abs=1e-5
    )
    wide = Head(
        [(np.zeros((1, 768), np.float32), np.float32([0.0]))], activation="none", output="linear"
    )
    with pytest.raises(ValueError, match="embeddings of 768 numbers, and this CLIP gives 16"):
        HeadScore(clip, wide)


def test_an_entry_that_is_not_there_is_an_error(clip, embedded):
    assert EntryScore(clip, index=3).score(embedded, [""] * 3).tolist() == embedded[:, 3].tolist()
    with pytest.raises(ValueError, match="index 16: the output has 16 entries"):
        EntryScore(clip, index=16).score(embedded, [""] * 3)
