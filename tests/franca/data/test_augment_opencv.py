"""The fast backend: every operation against torchvision's, on the oracles and on photographs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torchvision.transforms.functional as F
from PIL import Image

from franca.data.augment_draws import CropParams
from franca.data.augment_opencv import COLOUR, apply_opencv, resize

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "aug.npz", allow_pickle=False)
IMAGE = ORACLE["in/ops/image"]
PHOTOGRAPHS = Path(__file__).parents[4] / "shared" / "data" / "imagenet_sample" / "train"


def params(size, **changes):
    plain = {
        "box": (0, 0, size, size), "size": size, "flip": False, "jitter": (), "grayscale": False,
        "blur_sigma": None, "blur_kernel": 9, "solarize_threshold": None,
    }  # fmt: skip
    return CropParams(**plain | changes)


def apply(image, *, approximate_colour=False, **changes):
    crop = params(len(image), **changes)
    return apply_opencv(image, [crop], approximate_colour=approximate_colour)[0]


def photographs():
    """Smooth colour fields with edges and grain; and real photographs where they are at hand."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        field = cv2.resize(coarse, (120, 120), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        field[40:80, 30:90] = rng.integers(0, 256, 3)
        yield np.clip(field + rng.normal(0, 4, field.shape), 0, 255).astype(np.uint8)
    for path in sorted(PHOTOGRAPHS.glob("*/*.JPEG"))[::250]:
        yield cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)[:200, :200]


def difference(ours, reference):
    return np.abs(ours.astype(int) - np.asarray(reference))


def assert_within_a_level(ours, reference):
    """At most one level anywhere, and nearly everywhere equal."""
    worst = difference(ours, reference)
    assert worst.max() <= 1
    assert (worst > 0).mean() < 0.03


@pytest.mark.parametrize("size", [28, 56])
@pytest.mark.parametrize(
    ("number", "box"), [(0, (0, 0, 45, 60)), (1, (5, 8, 30, 20)), (2, (10, 0, 12, 40))]
)
def test_resize_is_the_references(number, box, size):
    """The image is noise, and the reference filters columns first in the second box."""
    (ours,) = apply_opencv(IMAGE, [params(size, box=box)], approximate_colour=False)
    off = difference(ours, ORACLE[f"out/ops/crop{number}_resized_{size}"])
    assert off.max() <= (3 if number == 1 else 1)
    assert off.mean() < (0.4 if number == 1 else 0.01)


@pytest.mark.parametrize("factor", [0.6, 1.35])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colours_are_the_references(name, factor):
    assert_within_a_level(COLOUR[name](IMAGE, factor), ORACLE[f"out/ops/{name}_{factor}"])


@pytest.mark.parametrize("turns", [-0.1, 0.07])
def test_hue_is_the_references(turns):
    off = difference(COLOUR["hue"](IMAGE, turns), ORACLE[f"out/ops/hue_{turns}"])
    assert (off <= 1).mean() > 0.995
    assert off.max() <= 6  # one of the 256 steps of hue


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("hflip", {"flip": True}),
        ("grayscale3", {"grayscale": True}),
        ("solarize128", {"solarize_threshold": 128}),
        *[(f"blur9_sigma{sigma}", {"blur_sigma": sigma}) for sigma in (0.1, 0.7, 2.0)],
    ],
)
def test_operations_are_the_references(name, changes):
    expected = ORACLE[f"out/ops/{name}"]
    expected = expected[:, -45:] if name == "hflip" else expected[:, :45]
    width = 41 if "blur" in name else 45  # the reference blurs with pixels beyond the square
    assert_within_a_level(apply(IMAGE[:, :45], **changes)[:, :width], expected[:, :width])


@pytest.mark.parametrize("size", [24, 98, 150, 333])
@pytest.mark.parametrize("box", [(3, 5, 94, 115), (0, 40, 120, 30)])
def test_resize_of_photographs(size, box):
    top, left, height, width = box
    for image in photographs():
        crop = image[top : top + height, left : left + width]
        rows = Image.fromarray(crop).resize((size, height), Image.Resampling.BICUBIC)
        off = difference(
            resize(crop, size=size), rows.resize((size, size), Image.Resampling.BICUBIC)
        )
        assert off.max() <= 2
        assert (off > 0).mean() < 0.02
        assert (off > 1).mean() < 1e-4


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("brightness", F.adjust_brightness),
        ("contrast", F.adjust_contrast),
        ("saturation", F.adjust_saturation),
    ],
)
def test_colours_of_photographs(name, reference):
    for image in photographs():
        for factor in (0.0, 0.61, 0.83, 1.0, 1.17, 1.4):
            expected = reference(Image.fromarray(image), factor)
            assert_within_a_level(COLOUR[name](image, factor), expected)


def test_hue_of_photographs():
    off = [
        difference(COLOUR["hue"](image, turns), F.adjust_hue(Image.fromarray(image), turns)).ravel()
        for image in photographs()
        for turns in (-0.1, -0.03, 0.0, 0.05, 0.1)
    ]
    off = np.concatenate(off)
    assert (off <= 1).mean() > 0.995
    assert off.max() <= 6


@pytest.mark.parametrize("sigma", [0.1, 0.4, 1.0, 2.0])
def test_blur_of_photographs(sigma):
    for image in photographs():
        expected = F.gaussian_blur(Image.fromarray(image), [9, 9], [sigma, sigma])
        assert_within_a_level(apply(image, blur_sigma=sigma), expected)


def test_the_image_is_not_changed():
    image = IMAGE[:, :45].copy()
    jitter = (("hue", 0.1), ("contrast", 1.3), ("saturation", 1.2), ("brightness", 0.7))
    for approximate in (False, True):
        apply(
            image, approximate_colour=approximate, flip=True, jitter=jitter, grayscale=True,
            blur_sigma=1.0, solarize_threshold=128,
        )  # fmt: skip
    assert np.array_equal(image, IMAGE[:, :45])


MILD = np.clip(IMAGE[:, :45], 80, 170)  # no operation leaves [0, 255]: only rounding differs


@pytest.mark.parametrize(
    "jitter",
    [
        (("brightness", 1.3),),
        (("contrast", 0.7),),
        (("saturation", 1.2),),
        (("brightness", 0.8), ("contrast", 1.3), ("saturation", 0.8)),
        (("saturation", 0.8), ("contrast", 1.3), ("brightness", 0.8)),
    ],
)
def test_approximate_colour_is_exact_but_for_rounding_where_nothing_clips(jitter):
    exact = apply(MILD, jitter=jitter)
    approximate = apply(MILD, jitter=jitter, approximate_colour=True)
    assert difference(approximate, exact).max() <= 1 + len(jitter)


def test_approximate_hue_leaves_grey_alone_and_turns_primaries_as_hsv_does():
    gray = np.repeat(IMAGE[:, :45, :1], 3, axis=2)
    assert np.array_equal(apply(gray, jitter=(("hue", 0.1),), approximate_colour=True), gray)
    for turns in (-0.1, 0.1):
        for channel in range(3):
            primary = np.full((4, 4, 3), 60, np.uint8)
            primary[..., channel] = 200
            exact, approximate = (
                apply(primary, jitter=(("hue", turns),), approximate_colour=kind)[0, 0]
                for kind in (False, True)
            )
            assert np.array_equal(np.argsort(approximate), np.argsort(exact))


def test_approximate_colour_of_photographs_is_nearer_than_no_change():
    jitter = (("contrast", 1.2), ("hue", 0.08), ("brightness", 0.9), ("saturation", 1.1))
    for image in photographs():
        exact = apply(image, jitter=jitter)
        approximate = apply(image, jitter=jitter, approximate_colour=True)
        assert difference(approximate, exact).mean() < 0.6 * difference(image, exact).mean()


def test_approximate_grayscale_is_grey():
    approximate = apply(
        MILD, jitter=(("hue", 0.1), ("contrast", 1.2)), grayscale=True, approximate_colour=True
    )
    assert np.ptp(approximate, axis=2).max() == 0
