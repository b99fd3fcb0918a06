"""Multi-crop: from a section of the parameters to crops, the same draws for every backend."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from franca.config.augment import Augment
from franca.data.augment import build_augmentation
from franca.data.augment_draws import draw_multicrop
from franca.data.augment_torchvision import apply_torchvision
from franca.randomness import numpy_generator

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "aug.npz", allow_pickle=False)
PAPER = {
    "global_crops": {"size": 224, "scale": [0.32, 1.0]},
    "local_crops": {"size": 98, "scale": [0.05, 0.32], "count": 8},
    "flip": 0.5,
    "jitter": {
        "probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1,
    },
    "grayscale": 0.2,
    "blur": {
        "kernel_size": 9, "sigma": [0.1, 2.0], "first_global": 1.0, "second_global": 0.1,
        "local": 0.5, "legacy": False,
    },
    "solarize": {"probability": 0.2, "threshold": 128},
    "backend": "torchvision",
    "approximate_colour": False,
}  # fmt: skip


def augmentation(**changes):
    return build_augmentation(Augment.model_validate(PAPER | changes))


def crops(image, seed=0, **changes):
    return augmentation(**changes)(image, rng=numpy_generator(seed, "augment", 3))


@pytest.fixture
def photo():
    return np.asarray(ORACLE["in/ops/image"])


@pytest.mark.parametrize("backend", ["torchvision", "opencv"])
def test_an_image_becomes_two_global_and_eight_local_crops(photo, backend):
    made = crops(photo, backend=backend)
    assert [crop.shape for crop in made] == [(224, 224, 3)] * 2 + [(98, 98, 3)] * 8
    assert all(crop.dtype == np.uint8 for crop in made)
    assert augmentation().num_local_crops == 8


def test_both_backends_draw_the_same_crops():
    """On a smooth image each crop differs by a level on average; another draw by dozens."""
    y, x = np.mgrid[0:120, 0:160]
    image = np.stack([x * 1.5, y * 2, 120 + 60 * np.sin(x / 20)], axis=2).astype(np.uint8)
    for seed in range(4):
        slow = crops(image, seed=seed)
        fast = crops(image, seed=seed, backend="opencv")
        for a, b in zip(slow, fast, strict=True):
            assert np.abs(a.astype(int) - b).mean() < 1
    others = crops(image, seed=9)
    gaps = [np.abs(a.astype(int) - b).mean() for a, b in zip(slow, others, strict=True)]
    assert np.mean(gaps) > 20


@pytest.mark.parametrize("backend", ["torchvision", "opencv"])
def test_crops_depend_on_the_generator_alone(photo, backend):
    first, again, other = (crops(photo, seed=seed, backend=backend) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("backend", ["torchvision", "opencv"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (200, 2)])
def test_degenerate_images_still_give_crops(backend, shape):
    made = crops(np.full((*shape, 3), 77, np.uint8), backend=backend)
    assert len(made) == 10


@pytest.mark.parametrize("backend", ["torchvision", "opencv"])
def test_an_augmentation_travels_to_a_worker(photo, backend):
    sent = augmentation(backend=backend)
    received = pickle.loads(pickle.dumps(sent))
    for a, b in zip(
        sent(photo, rng=numpy_generator(0, "x")),
        received(photo, rng=numpy_generator(0, "x")),
        strict=True,
    ):
        assert np.array_equal(a, b)


def test_legacy_blur_is_what_the_published_code_does():
    """Written 1.0, 0.1, 0.5; the released class blurs with one minus that."""
    written = augmentation().views
    assert [written[i].blur for i in (0, 1, 2)] == [1.0, 0.1, 0.5]
    legacy = augmentation(blur=PAPER["blur"] | {"legacy": True}).views
    effective = ORACLE["out/params/effective_blur_probability_global1_global2_local"]
    assert [legacy[i].blur for i in (0, 1, 2)] == pytest.approx(effective.tolist())


def test_legacy_blur_changes_crops_as_often_as_in_the_published_code(photo):
    """Less often than it is drawn: a small sigma leaves an 8-bit image as it is."""
    blur = PAPER["blur"] | {"legacy": True}
    views = augmentation(blur=blur).views[:3]
    plain = {"box": (0, 0, 45, 60), "size": 45, "flip": False, "jitter": (), "grayscale": False}
    measured = ORACLE["out/params/measured_blur_frequency_400_trials"]
    for index, (view, expected) in enumerate(zip(views, measured, strict=True)):
        rng = numpy_generator(0, "blur", index)
        drawn = [
            replace(crop, **plain, solarize_threshold=None)
            for crop in draw_multicrop(rng, height=45, width=60, views=[view] * 800)
        ]
        (sharp,) = apply_torchvision(photo, [replace(drawn[0], blur_sigma=None)])
        blurred = [crop for crop in drawn if crop.blur_sigma is not None]
        changed = [(crop != sharp).any() for crop in apply_torchvision(photo, blurred)]
        share = sum(changed) / len(drawn)
        error = np.sqrt(expected * (1 - expected) * (1 / 400 + 1 / 800))
        assert abs(share - expected) <= 4 * error


def test_only_second_global_crops_are_solarized():
    assert [view.solarize for view in augmentation().views] == [0.0, 0.2] + [0.0] * 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"approximate_colour": True}, "set approximate_colour: false"),
        ({"global_crops": {"size": 224, "scale": [0.5, 0.2]}}, "least <= greatest"),
        ({"global_crops": {"size": 224, "scale": [0.0, 1.0]}}, "0 < least"),
        ({"blur": PAPER["blur"] | {"kernel_size": 8}}, "kernel_size 8 must be odd"),
        ({"blur": PAPER["blur"] | {"sigma": [0.0, 1.0]}}, "sigma"),
        ({"flip": 1.2}, "less than or equal to 1"),
        ({"flop": 0.5}, "Extra inputs are not permitted"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Augment.model_validate(PAPER | changes)
