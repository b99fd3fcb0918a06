"""Tokens of images that keep their own size."""

import numpy as np
import pytest
import torch
from PIL import Image

from franca.eval.native import (
    PadToPatches,
    SnapToPatches,
    StreamedTokens,
    extract_native,
    patch_grids,
)
from franca.models.vit import build_vit
from tests.franca.eval.worlds import PixelModel


class Mixed:
    """Images of several sizes, in the order given."""

    digest = "mixed"

    def __init__(self, sizes):
        rng = np.random.default_rng(0)
        self._images = [
            Image.fromarray(rng.integers(256, size=(*size, 3), dtype=np.uint8)) for size in sizes
        ]

    def __len__(self):
        return len(self._images)

    def size(self, index):
        return self._images[index].height, self._images[index].width

    def image(self, index):
        return self._images[index]


SIZES = [(8, 8), (8, 8), (7, 10), (8, 8), (5, 13)]


def extract(model, images, folder, *, kind="patches", batch_size=2):
    streamed = StreamedTokens(
        model=model,
        images=images,
        kind=kind,
        transform=PadToPatches(model.patch_size),
        dtype="float32",
        batch_size=batch_size,
        device=torch.device("cpu"),
    )
    return extract_native(streamed, weights_digest="w", folder=folder)


def test_each_image_has_its_own_rows_whatever_the_batch(tmp_path):
    images, model = Mixed(SIZES), PixelModel()
    found = extract(model, images, tmp_path / "a", batch_size=2)
    assert found.grids == ((2, 2), (2, 2), (2, 3), (2, 2), (2, 4))
    pad = PadToPatches(4)
    for index in range(len(images)):
        alone = model.forward_features(pad(images.image(index))[None]).patches[0]
        torch.testing.assert_close(found.rows(index, index + 1), alone)
    single = extract(model, images, tmp_path / "b", batch_size=1)
    torch.testing.assert_close(found.rows(0, 5), single.rows(0, 5))


def test_a_second_call_finds_them_and_a_killed_one_goes_on(tmp_path):
    model = PixelModel()
    images = Mixed(SIZES)
    whole = extract(model, images, tmp_path).rows(0, 5).clone()
    passes = model.passes
    folder = extract(model, images, tmp_path).folder
    assert model.passes == passes
    (folder / "progress.json").write_text('{"done": 3}')
    tokens = np.lib.format.open_memmap(folder / "tokens.npy", "r+")
    tokens[14:] = 0  # rows of the last two images
    tokens.flush()
    again = extract(model, images, tmp_path)
    assert model.passes == passes + 2
    torch.testing.assert_close(again.rows(0, 5), whole)


def test_keys_are_those_of_the_patches_registers_or_not(tmp_path):
    model = build_vit(
        "vit_tiny",
        patch_size=4,
        image_size=16,
        registers=2,
        generator=torch.Generator().manual_seed(0),
    ).eval()
    images = Mixed([(8, 8), (6, 12)])
    found = extract(model, images, tmp_path, kind="keys")
    with torch.inference_mode():
        keys = model.last_keys(PadToPatches(4)(images.image(1))[None])
    torch.testing.assert_close(found.rows(1, 2), keys[0, 3:])


def test_a_model_without_keys_is_refused(tmp_path):
    with pytest.raises(ValueError, match="PixelModel does not show the keys"):
        extract(PixelModel(), Mixed(SIZES), tmp_path, kind="keys")


def test_padding_is_zero_after_normalisation_and_below_and_right():
    image = Image.fromarray(np.full((7, 10, 3), 255, np.uint8))
    padded = PadToPatches(4)(image)
    assert padded.shape == (3, 8, 12)
    assert padded[:, 7].abs().max() == 0
    assert padded[:, :, 10:].abs().max() == 0
    assert padded[0, 0, 0] == pytest.approx((1 - 0.485) / 0.229)


def test_sides_move_to_the_nearest_multiple_of_the_patch():
    davis = SnapToPatches(480, 14)
    assert davis.input_size((480, 854)) == (476, 854)
    assert SnapToPatches(None, 8).input_size((96, 100)) == (96, 96)
    assert SnapToPatches(240, 16).input_size((480, 854)) == (240, 432)
    assert davis(Image.new("RGB", (90, 50))).shape == (3, 476, 868)
    assert patch_grids(Mixed([(50, 90)]), davis) == ((34, 62),)
