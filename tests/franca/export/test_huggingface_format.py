"""transformers' own DINOv2 classes give our features."""

import json

import numpy as np
import pytest
from PIL import Image

from franca.export.huggingface_format import HUGGINGFACE
from franca.export.parity import measure
from tests.franca.export.conftest import backbone_of


@pytest.mark.parametrize("ffn", ["swiglu", "mlp"])
@pytest.mark.parametrize("registers", [0, 3])
def test_same_features(tmp_path, ffn, registers):
    backbone = backbone_of(ffn=ffn, registers=registers, interpolation="antialias")
    HUGGINGFACE.write(backbone, tmp_path)
    read = HUGGINGFACE.open(tmp_path)
    assert measure(backbone, read, size=(24, 24), batch=1).tolerated
    # Only the class with registers resizes positions by a law of ours.
    other = measure(backbone, read, size=(32, 12), batch=2)
    assert other.tolerated is (registers > 0)
    assert (HUGGINGFACE.interpolation(backbone.model) == "antialias") is (registers > 0)


def test_needs_no_remote_code_and_brings_its_processor(tmp_path):
    HUGGINGFACE.write(backbone_of(), tmp_path)
    assert not list(tmp_path.glob("*.py"))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["Dinov2Model"]
    assert "auto_map" not in config
    from transformers import AutoImageProcessor  # here, after torchvision has been mended

    processor = AutoImageProcessor.from_pretrained(tmp_path)
    image = Image.fromarray(np.full((50, 70, 3), 255, np.uint8))
    pixels = processor(image, return_tensors="np")["pixel_values"]
    assert pixels.shape == (1, 3, 24, 24)
    np.testing.assert_allclose(pixels[0, :, 0, 0], (1 - 0.485) / 0.229, atol=0.5)
