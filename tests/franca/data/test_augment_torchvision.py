"""The paper's backend against single operations of the reference."""

from pathlib import Path

import numpy as np
import pytest
import torchvision.transforms.functional as F
from PIL import Image

from franca.data.augment_draws import CropParams
from franca.data.augment_torchvision import COLOUR, apply_torchvision

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "aug.npz", allow_pickle=False)
IMAGE = ORACLE["in/ops/image"]
BOXES = [(0, 0, 45, 60), (5, 8, 30, 20), (10, 0, 12, 40)]
CROPS = [
    (f"crop{i}_resized_{size}", {"box": box, "size": size})
    for i, box in enumerate(BOXES)
    for size in (28, 56)
]
COLOURS = [
    *[(name, f) for name in ("brightness", "contrast", "saturation") for f in (0.6, 1.35)],
    *[("hue", f) for f in (-0.1, 0.07)],
]
# Crops are square, so these are compared on a square part, without the margin that a blur mixes.
SQUARE, MARGIN = (0, 0, 45, 45), 4
OPERATIONS = [
    ("hflip", {"flip": True}),
    ("grayscale3", {"grayscale": True}),
    ("solarize128", {"solarize_threshold": 128}),
    *[(f"blur9_sigma{s}", {"blur_sigma": s}) for s in (0.1, 0.7, 2.0)],
]


def params(**changes):
    plain = {
        "box": SQUARE, "size": 45, "flip": False, "jitter": (), "grayscale": False,
        "blur_sigma": None, "blur_kernel": 9, "solarize_threshold": None,
    }  # fmt: skip
    return CropParams(**plain | changes)


@pytest.mark.parametrize(("name", "changes"), CROPS)
def test_resized_crops_are_the_references(name, changes):
    (crop,) = apply_torchvision(IMAGE, [params(**changes)])
    assert np.array_equal(crop, ORACLE[f"out/ops/{name}"])


@pytest.mark.parametrize(("name", "factor"), COLOURS)
def test_colours_are_the_references(name, factor):
    changed = np.asarray(COLOUR[name](Image.fromarray(IMAGE), factor))
    assert np.array_equal(changed, ORACLE[f"out/ops/{name}_{factor}"])


@pytest.mark.parametrize(("name", "changes"), OPERATIONS)
def test_operations_are_the_references(name, changes):
    (crop,) = apply_torchvision(IMAGE, [params(**changes)])
    expected = ORACLE[f"out/ops/{name}"]
    expected = expected[:, -45:] if name == "hflip" else expected[:, :45]
    width = 45 - MARGIN if "blur" in name else 45
    assert np.array_equal(crop[:, :width], expected[:, :width])


def test_operations_come_in_the_order_of_the_parameters():
    crop = params(
        flip=True, jitter=(("hue", 0.07), ("contrast", 1.35)), blur_sigma=0.7, solarize_threshold=90
    )
    expected = Image.fromarray(IMAGE[:, :45][:, ::-1])
    expected = F.adjust_contrast(F.adjust_hue(expected, 0.07), 1.35)
    expected = F.solarize(F.gaussian_blur(expected, [9, 9], [0.7, 0.7]), 90)
    assert np.array_equal(apply_torchvision(IMAGE, [crop])[0], np.asarray(expected))
