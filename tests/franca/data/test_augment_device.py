"""Colours on the training device: every operation against the fast backend's, and whole batches."""

import numpy as np
import pytest
import torch

from franca.config.augment import Augment
from franca.data.augment import build_augmentation
from franca.data.augment_device import coloured, recolour
from franca.data.augment_opencv import apply_opencv
from franca.data.collate import MultiCropBatch, stack_views
from franca.randomness import numpy_generator
from tests.franca.data.test_augment_opencv import params, photographs

PHOTOGRAPHS = list(photographs())


def on_device(images, drawn):
    crops = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return recolour(crops, drawn).permute(0, 2, 3, 1).numpy()


def difference(changes):
    """Levels by which the two backends differ, on every photograph."""
    images = [photograph[:98, :98] for photograph in PHOTOGRAPHS]
    drawn = [params(98, **changes)] * len(images)
    fast = [
        apply_opencv(image, [crop], approximate_colour=False)[0]
        for image, crop in zip(images, drawn, strict=True)
    ]
    return np.abs(on_device(images, drawn).astype(int) - np.stack(fast))


def only(name, factor):
    """A jitter whose other operations change nothing."""
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    return {"jitter": tuple((neutral | {name: factor}).items())}


@pytest.mark.parametrize(
    "changes",
    [
        only("brightness", 0.63),
        only("brightness", 1.4),
        only("contrast", 1.37),
        only("saturation", 0.8),
        {"grayscale": True},
        {"blur_sigma": 0.3},
        {"blur_sigma": 1.9},
        {"solarize_threshold": 128},
    ],
)
def test_operations_are_the_fast_backends_within_a_level(changes):
    # A neutral shift of hue is not nothing: hue and saturation are truncated to 256 steps.
    off = difference(changes)
    assert (off <= 1).mean() > 0.995
    assert off.max() <= 6


@pytest.mark.parametrize("turns", [-0.1, 0.07])
def test_hue_is_the_fast_backends(turns):
    off = difference(only("hue", turns))
    assert (off <= 1).mean() > 0.995


def test_whole_batches_are_the_fast_backends(augment_of):
    fast, later = (build_augmentation(augment_of(backend)) for backend in ("opencv", "device"))
    images = PHOTOGRAPHS[:4]
    rngs = [numpy_generator(0, "test", number) for number in range(len(images))]
    drawn = [later.draw(image, rng=rng) for image, rng in zip(images, rngs, strict=True)]
    batches = []
    for augment, colours in ((fast, ()), (later, tuple(map(tuple, drawn)))):
        pixels = [augment.backend(i, crops) for i, crops in zip(images, drawn, strict=True)]
        batch = MultiCropBatch(
            global_crops=stack_views([crops[:2] for crops in pixels]),
            local_crops=stack_views([crops[2:] for crops in pixels]),
            keys=tuple("abcd"),
            colours=colours,
        )
        batches.append(coloured(batch))
    assert batches[1].colours == ()
    for name in ("global_crops", "local_crops"):
        ours, theirs = (getattr(batch, name).int() for batch in batches)
        off = (ours - theirs).abs()
        assert (off <= 2).float().mean() > 0.99
        assert off.float().mean() < 0.3


@pytest.fixture
def augment_of():
    def make(backend):
        return Augment.model_validate(
            {
                "global_crops": {"size": 56, "scale": [0.3, 1.0]},
                "local_crops": {"size": 28, "scale": [0.05, 0.3], "count": 3},
                "flip": 0.5,
                "jitter": {
                    "probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2,
                    "hue": 0.1,
                },
                "grayscale": 0.2,
                "blur": {
                    "kernel_size": 9, "sigma": [0.1, 2.0], "first_global": 1.0,
                    "second_global": 0.1, "local": 0.5, "legacy": False,
                },
                "solarize": {"probability": 0.2, "threshold": 128},
                "backend": backend,
                "approximate_colour": False,
            }
        )  # fmt: skip

    return make


def test_rows_keep_what_was_drawn_for_them():
    image = PHOTOGRAPHS[0][:98, :98]
    drawn = [params(98), params(98, grayscale=True), params(98, solarize_threshold=0)]
    plain, gray, inverted = on_device([image] * 3, drawn)
    assert (plain == image).all()
    assert (gray[..., :1] == gray).all()
    assert (inverted == 255 - image).all()
