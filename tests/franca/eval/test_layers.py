"""Tokens of several blocks before the final norm."""

import pytest
import torch

from franca.eval.layers import StreamedLayers, extract_layers, spread_blocks
from franca.eval.native import CentrePad
from franca.models.vit import build_vit
from tests.franca.eval.test_native import Mixed
from tests.franca.eval.worlds import PixelModel


def model():
    return build_vit(
        "vit_tiny", patch_size=4, image_size=16, generator=torch.Generator().manual_seed(0)
    ).eval()


def stream(backbone, images, batch_size=2, dtype="float32"):
    return StreamedLayers(
        model=backbone,
        images=images,
        dtype=dtype,
        batch_size=batch_size,
        device=torch.device("cpu"),
    )


def extract(backbone, images, folder, *, batch_size=2):
    return extract_layers(stream(backbone, images, batch_size), weights_digest="w", folder=folder)


@pytest.mark.parametrize(
    ("depth", "blocks"),
    [(12, (2, 5, 8, 11)), (24, (5, 11, 17, 23)), (40, (9, 19, 29, 39)), (3, (0, 0, 1, 2))],
)
def test_blocks_end_the_quarters_of_the_model(depth, blocks):
    assert spread_blocks(depth) == blocks


def test_tokens_are_the_blocks_outputs_before_the_norm(tmp_path):
    backbone, images = model(), Mixed([(10, 8)] * 5)
    found = extract(backbone, images, tmp_path)
    assert stream(backbone, images).grid == (3, 2)
    pixels = torch.stack([CentrePad(4)(images.image(index)) for index in range(5)])
    with torch.inference_mode():
        layers = backbone.forward_intermediate(pixels, [0, 0, 1, 2], norm=False)
        normed = backbone.forward_intermediate(pixels, 1)[0]
    for number, layer in enumerate(layers):
        torch.testing.assert_close(found[:, number, 0], layer.cls)
        torch.testing.assert_close(found[:, number, 1:], layer.patches)
    assert not torch.allclose(found[:, 3, 1:], normed.patches)


def test_a_killed_extraction_goes_on(tmp_path):
    backbone, images = model(), Mixed([(8, 8)] * 5)
    whole = extract(backbone, images, tmp_path / "a")

    class Dying(Mixed):
        def image(self, index):
            if index == 3:
                raise RuntimeError("killed")
            return super().image(index)

    with pytest.raises(RuntimeError, match="killed"):
        extract(backbone, Dying([(8, 8)] * 5), tmp_path / "b")
    torch.testing.assert_close(extract(backbone, images, tmp_path / "b"), whole)


def test_streamed_tokens_are_the_stored_ones(tmp_path):
    backbone, images = model(), Mixed([(10, 8)] * 5)
    stored, streamed = extract(backbone, images, tmp_path), stream(backbone, images, 4)
    assert streamed.shape == tuple(stored.shape)
    assert len(streamed) == 5
    rows = torch.tensor([4, 0, 3, 3, 1])
    torch.testing.assert_close(streamed[rows], stored[rows])
    assert stream(backbone, images, dtype="float16")[rows].dtype == torch.float16


def test_images_of_several_sizes_and_models_without_blocks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="images of 2 sizes"):
        extract(model(), Mixed([(8, 8), (8, 12)]), tmp_path)
    with pytest.raises(ValueError, match="PixelModel does not show its blocks"):
        extract(PixelModel(), Mixed([(8, 8)]), tmp_path)


def test_padding_surrounds_the_image():
    padded = CentrePad(4)(Mixed([(7, 10)]).image(0))
    assert padded.shape == (3, 8, 12)
    assert (padded[:, :, 0] == 0).all()
    assert (padded[:, :, -1] == 0).all()
    assert (padded[:, -1] == 0).all()
    assert (padded[:, 0, 1:-1] != 0).any()
