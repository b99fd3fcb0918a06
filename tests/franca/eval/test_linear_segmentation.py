"""Linear segmentation: shares of valid pixels, the loss as loops, limits of the score."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.linear_segmentation import (
    BENCHMARK,
    linear_segmentation,
    pixel_cross_entropy,
    pixel_shares,
)

CPU = torch.device("cpu")


def toy(images, *, seed, classes=3):
    """Tokens that name the class of their 2x2 pixels, up to scale, offset and noise."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images, 4, 4), generator=source)
    masks = labels.to(torch.uint8).repeat_interleave(2, 1).repeat_interleave(2, 2)
    tokens = torch.eye(classes)[labels.flatten(1)]
    noise = 0.1 * torch.randn(tokens.shape, generator=source)
    return split((tokens + noise) * torch.tensor([100.0, 1.0, 0.01]) + 5, masks)


def split(patches, masks):
    return DenseFeatures(patches=patches, grid=(4, 4), masks=masks, depth=None, normals=None)


def run(train, test, *, seed=0, steps=200):
    inputs = SegmentationInputs(train=train, test=test, num_classes=3, ignore_index=255)
    return linear_segmentation(
        inputs, seed=seed, device=CPU, steps=steps, batch_size=8, learning_rate=0.5, momentum=0.9
    ).evidence


def scores(evidence):
    metrics = BENCHMARK.measure(evidence, dataset="toy", resamples=20, seed=0)
    return {metric.metric: metric.value for metric in metrics}


def test_shares_count_valid_pixels_only():
    masks = torch.zeros(1, 4, 4, dtype=torch.uint8)
    masks[0, 0, 0] = 255
    masks[0, 1, 0] = 1
    masks[0, 2:, 2:] = 255
    shares = pixel_shares(masks, grid=(2, 2), num_classes=2, ignore_index=255)
    torch.testing.assert_close(
        shares[0], torch.tensor([[0.5, 0.25], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    )


def test_loss_equals_the_loop_over_pixels():
    source = torch.Generator().manual_seed(0)
    masks = torch.randint(3, (2, 8, 8), generator=source).to(torch.uint8)
    masks[torch.rand(masks.shape, generator=source) < 0.3] = 255
    logits = torch.randn(2, 16, 3, generator=source)
    shares = pixel_shares(masks, grid=(4, 4), num_classes=3, ignore_index=255)
    total, valid = 0.0, 0
    for image in range(2):
        for row in range(8):
            for column in range(8):
                if masks[image, row, column] == 255:
                    continue
                patch = logits[image, (row // 2) * 4 + column // 2]
                total -= float(patch.log_softmax(0)[int(masks[image, row, column])])
                valid += 1
    loss = pixel_cross_entropy(logits.flatten(0, 1), shares.flatten(0, 1))
    assert float(loss) == pytest.approx(total / valid, rel=1e-5)


def test_void_patches_alone_cost_nothing():
    assert float(pixel_cross_entropy(torch.ones(4, 3), torch.zeros(4, 3))) == 0.0


def test_tokens_that_name_their_class_are_read_whatever_their_scale():
    # bilinear upsampling blurs borders of blocks as small as a patch, hence not 1
    found = scores(run(toy(40, seed=0), toy(12, seed=1)))
    assert found["miou"] > 0.85
    assert found["pixel_accuracy"] > 0.9


def test_constant_tokens_paint_the_majority_class():
    train, test = toy(40, seed=0), toy(12, seed=1)
    blind = [split(torch.ones(len(part.masks), 16, 5), part.masks) for part in (train, test)]
    evidence = run(*blind)
    majority = np.bincount(train.masks.flatten()).argmax()
    painted = evidence["confusion"].sum((0, 1))
    assert painted[majority] == painted.sum()


def test_definitions_differ_by_the_classes_they_average_over():
    """A class that is nowhere counts 0 for `all` and not at all for the other two."""
    train, test = toy(40, seed=0, classes=3), toy(12, seed=1)
    without = [
        split(part.patches, part.masks.masked_fill(part.masks == 2, 255)) for part in (train, test)
    ]
    found = scores(run(*without))
    assert found["miou_all"] == pytest.approx(found["miou"] * 2 / 3)
    assert found["miou_present"] == pytest.approx(found["miou"])


def test_void_pixels_play_no_part():
    train, test = toy(40, seed=0), toy(12, seed=1)
    masks = test.masks.clone()
    masks[:, :4] = 255
    whole = run(train, test)["confusion"]
    part = run(train, split(test.patches, masks))["confusion"]
    assert part.sum() == whole.sum() / 2
    assert (part <= whole).all()


def test_same_seed_same_bits_and_no_global_generator():
    train, test = toy(40, seed=0), toy(12, seed=1)
    first = run(train, test, steps=5)["confusion"]
    torch.manual_seed(9)
    np.testing.assert_array_equal(run(train, test, steps=5)["confusion"], first)


def test_half_precision_tokens_are_read_in_full():
    train, test = toy(40, seed=0), toy(12, seed=1)
    halves = [split(part.patches.half(), part.masks) for part in (train, test)]
    assert scores(run(*halves))["miou"] > 0.85


def test_masks_that_say_nothing_are_refused():
    train, test = toy(4, seed=0), toy(2, seed=1)
    void = split(train.patches, torch.full_like(train.masks, 255))
    with pytest.raises(ValueError, match="all pixels of the training masks are void"):
        run(void, test)
    unknown = split(train.patches, train.masks + 3)
    with pytest.raises(ValueError, match=r"mask holds class \d but there are 3 classes"):
        run(unknown, test)
    ragged = split(train.patches, train.masks[:, :7])
    with pytest.raises(ValueError, match="7x8 pixels does not divide"):
        run(ragged, test)


def test_the_protocol_disowns_its_namesakes():
    assert "neither linseg_mmseg518 nor linseg_neco100" in BENCHMARK.protocol
