"""CLIP from a local checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data_filters.models.clip import Clip
from data_filters.models.network import vectors


def clip(tiny_clip, **changes):
    names = {"model": tiny_clip["model"], "weights": Path(tiny_clip["file"])}
    return Clip(**{**names, "device": "cpu", "batch_size": 4, **changes})


def test_embeddings_are_those_of_open_clip(tiny_clip, picture):
    import open_clip

    ours = clip(tiny_clip)
    model, _, prepare = open_clip.create_model_and_transforms(
        Path(tiny_clip["model"]).stem, pretrained=tiny_clip["file"]
    )
    from PIL import Image

    images = torch.stack([prepare(Image.fromarray(picture(index))) for index in range(3)])
    with torch.inference_mode():
        expected = model.eval().encode_image(images, normalize=True).numpy()
        texts = model.encode_text(open_clip.tokenize(["a cat", "a dog"], 16), normalize=True)
    found = vectors(ours, [ours.prepare(picture(index)) for index in range(3)], batch_size=4)
    assert found == pytest.approx(expected, abs=1e-5)
    assert ours.texts(["a cat", "a dog"]) == pytest.approx(texts.numpy(), abs=1e-5)


def test_neither_order_nor_company_changes_an_embedding(tiny_clip, picture):
    ours = clip(tiny_clip)
    prepared = [ours.prepare(picture(index)) for index in range(7)]
    forwards = vectors(ours, prepared, batch_size=4)
    backwards = vectors(ours, prepared[::-1], batch_size=4)[::-1]
    alone = np.concatenate([vectors(ours, [one], batch_size=4) for one in prepared])
    assert np.array_equal(forwards, backwards)
    assert np.array_equal(forwards, alone)
    # another size of batch is other arithmetic: equal to the last bits only
    assert vectors(ours, prepared, batch_size=3) == pytest.approx(forwards, abs=1e-5)
    texts = [f"a photo of {thing}" for thing in ("a cat", "a dog", "the sea", "a road", "bread")]
    assert np.array_equal(ours.texts(texts), ours.texts(texts[::-1])[::-1])


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "ViT-B-33"}, ValueError, "ViT-B-33: open_clip has no configuration"),
        ({"model": "nowhere.json"}, FileNotFoundError, "nowhere.json"),
        ({"model": "ViT-S-32-alt"}, ValueError, "not readable as the weights of ViT-S-32-alt"),
    ],
)
def test_mistakes(tiny_clip, changes, error, words):
    with pytest.raises(error, match=words):
        clip(tiny_clip, **changes)


@pytest.mark.parametrize("form", ["safetensors", "pt"])
def test_damaged_weights_are_named(tiny_clip, tmp_path, damaged, form):
    state, whole = load_file(tiny_clip["file"]), tmp_path / f"clip.{form}"
    save_file(state, whole) if form == "safetensors" else torch.save(state, whole)
    for file in damaged(whole):
        with pytest.raises(ValueError, match=rf"{file.name}: not readable .*fetch it again"):
            clip(tiny_clip, weights=file)


@pytest.mark.parametrize("other", [{}, [1.0], {"logit_scale": 1.0}])
def test_another_kind_of_checkpoint_is_refused(tiny_clip, tmp_path, other):
    torch.save(other, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt: not readable as the weights of tiny-clip"):
        clip(tiny_clip, weights=tmp_path / "clip.pt")
