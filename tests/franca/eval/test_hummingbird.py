"""In-context segmentation from augmented crops: what fills a memory, and what several make."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.crops import Picture
from franca.eval.hummingbird import BENCHMARK, _change_colours, _crop, _fill, hummingbird
from franca.eval.in_context import in_context
from franca.eval.miou import miou_statistic
from franca.eval.resampling import point_estimate
from franca.eval.truth.dense import pixel_classes
from tests.franca.eval.pictures import blocks, constant, mean_colours, picture_inputs, void

CPU = torch.device("cpu")
SETTINGS = {
    "side": 16,
    "scale": (0.5, 2.0),
    "jitter": 0.1,
    "memories": 2,
    "memory_size": None,
    "neighbours": 5,
    "temperature": 0.02,
    "batch_size": 4,
    "block": 64,
}
PLAIN = {"scale": (1.0, 1.0), "jitter": 0.0}  # square grey images stay what they are


def run(inputs, **changes):
    return hummingbird(inputs, seed=0, device=CPU, **(SETTINGS | changes))


def confusion(inputs, **changes):
    return run(inputs, **changes).evidence["confusion"]


def scores(evidence):
    metrics = BENCHMARK.measure({"confusion": evidence}, dataset="toy", resamples=20, seed=0)
    return {metric.metric: metric.value for metric in metrics}


def grey(pictures):
    return [
        Picture(picture.image.convert("L").convert("RGB"), picture.mask) for picture in pictures
    ]


@pytest.fixture(scope="module")
def world():
    return blocks(12, seed=0), blocks(6, seed=1)


def test_each_memory_scores_every_test_image(world):
    found = confusion(picture_inputs(*world), memories=3)
    assert found.shape == (6, 3, 3, 3)
    assert (found.sum((2, 3)) == 16 * 16).all()
    assert scores(found)["miou"] > 0.9


def test_the_score_is_the_mean_over_memories_that_differ(world):
    inputs = picture_inputs(
        *world, encode=lambda images, masks: mean_colours(images, masks).round()
    )
    found = confusion(inputs, memories=3, jitter=0.5, neighbours=1)
    each = [point_estimate(miou_statistic("hungarian", "all"), found[:, i]) for i in range(3)]
    assert len(set(each)) > 1
    assert scores(found)["miou"] == pytest.approx(np.mean(each))
    assert scores(found)["miou_deviation"] == pytest.approx(np.std(each))


def test_without_augmentation_it_is_in_context():
    train, test = (grey(blocks(8, seed=seed, size=(16, 16))) for seed in (0, 1))
    inputs = picture_inputs(train, test)
    (masks,) = {picture.mask.shape for picture in train}

    def dense(pictures):
        images = torch.stack([_plain(picture).pixels for picture in pictures])
        classes = torch.stack([_plain(picture).mask for picture in pictures])
        tokens = mean_colours(images, classes)
        return DenseFeatures(
            patches=tokens.flatten(2).transpose(1, 2),
            grid=(4, 4),
            masks=classes,
            depth=None,
            normals=None,
        )

    def _plain(picture):
        rng = np.random.default_rng(0)
        return _crop(picture, rng, side=masks[0], ignore_index=255, **PLAIN)

    cached = SegmentationInputs(dense(train), dense(test), num_classes=3, ignore_index=255)
    shared = {name: SETTINGS[name] for name in ("neighbours", "temperature", "block")}
    expected = in_context(cached, seed=0, device=CPU, memory_size=None, **shared)
    found = confusion(inputs, **PLAIN)
    assert np.array_equal(found[:, 0], expected.evidence["confusion"])
    assert np.array_equal(found[:, 1], expected.evidence["confusion"])


def test_batches_and_processes_change_nothing(world):
    whole = confusion(picture_inputs(*world), memory_size=96)
    for batch_size, num_workers in ((5, 0), (4, 2)):
        inputs = picture_inputs(*world, num_workers=num_workers)
        found = confusion(inputs, memory_size=96, batch_size=batch_size)
        assert np.array_equal(found, whole)


@pytest.mark.parametrize(("kept", "rows"), [(None, 16), (5, 5), (100, 16)])
def test_a_memory_keeps_so_many_patches_of_each_image(world, kept, rows):
    crop = partial(_crop, side=16, scale=(0.5, 2.0), jitter=0.1, ignore_index=255)
    memory = _fill(picture_inputs(*world), crop, number=0, seed=0, kept=kept, batch_size=4)
    assert [part.shape for part in memory] == [(4 * rows, 3)] * 3
    assert memory.labels.shape == (12 * rows, 3)
    assert memory.labels.sum(1).allclose(torch.ones(12 * rows))


def test_ground_truth_is_the_bound_and_constants_are_chance(world):
    assert scores(confusion(pixel_classes(picture_inputs(*world))))["miou"] > 0.9
    assert scores(confusion(picture_inputs(*world, encode=constant)))["miou"] <= 1 / 3


def test_void_masks_are_refused_by_name(world):
    train, test = world
    with pytest.raises(ValueError, match="all pixels of the training masks are void"):
        run(picture_inputs(void(train), test))


def test_colours_change_a_little_and_of_some_images():
    pixels = np.random.default_rng(0).integers(60, 196, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    rng = np.random.default_rng(1)
    found = [np.asarray(_change_colours(image, rng, jitter=0.1), int) for _ in range(200)]
    unchanged = sum(np.array_equal(each, pixels) for each in found)
    assert 3 <= unchanged <= 27  # of 200 / 16
    means = [each.mean() / pixels.mean() for each in found]
    assert 0.88 < min(means) < 0.95
    assert 1.05 < max(means) < 1.12
