"""The loop that trains heads with the backbone in it: its loss, its crops, its steps."""

import numpy as np
import pytest
import torch
from torch import nn

from franca.eval.crops import View, view
from franca.eval.online import (
    adamw_update,
    batches_of_views,
    check_masks,
    pixel_loss,
    sgd_update,
    training,
)
from tests.franca.eval.pictures import blocks, picture_inputs, void


@pytest.mark.parametrize("over", ["valid", "all"])
def test_loss_equals_the_loop_over_pixels(over):
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 6, generator=source)
    masks = torch.randint(3, (2, 4, 6), generator=source).to(torch.uint8)
    masks[torch.rand(masks.shape, generator=source) < 0.4] = 255
    total, valid = 0.0, 0
    for image, row, column in np.ndindex(*masks.shape):
        if masks[image, row, column] != 255:
            shares = logits[image, :, row, column].log_softmax(0)
            total -= float(shares[int(masks[image, row, column])])
            valid += 1
    expected = total / (valid if over == "valid" else masks.numel())
    assert float(pixel_loss(logits, masks, ignore_index=255, over=over)) == pytest.approx(expected)


def test_all_void_masks_cost_nothing_and_are_no_nan():
    masks = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    assert float(pixel_loss(torch.ones(1, 3, 2, 2), masks, ignore_index=255, over="valid")) == 0.0


def noisy(picture, rng):
    seen = view(picture, side=24, ignore_index=255)
    return View(seen.pixels + rng.normal(), seen.mask)


def loaded(batch_size, num_workers=0):
    batches = batches_of_views(
        blocks(5, seed=0),
        torch.tensor([0, 3, 3, 1, 4, 2]),
        noisy,
        batch_size=batch_size,
        seed=1,
        purpose="test",
        num_workers=num_workers,
    )
    return [torch.cat(part) for part in zip(*batches, strict=True)]


def test_neither_batches_nor_workers_change_a_crop():
    alone = loaded(1)
    for other in (loaded(4), loaded(2, num_workers=2)):
        for first, second in zip(alone, other, strict=True):
            assert torch.equal(first, second)
    assert not torch.equal(alone[0][1], alone[0][2])  # one picture twice, seen differently


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_steps_are_those_of_the_optimiser_written_out(kind):
    inputs = picture_inputs(blocks(4, seed=0), [])
    head, by_hand = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    by_hand.load_state_dict(head.state_dict())
    rates = [0.5, 0.25]
    batches = batches_of_views(
        inputs.train,
        torch.tensor([0, 1, 2, 3]),
        lambda picture, rng: view(picture, side=24, ignore_index=255),  # noqa: ARG005
        batch_size=2,
        seed=0,
        purpose="test",
        num_workers=0,
    )

    def loss(logits, masks):
        return pixel_loss(logits, masks, ignore_index=255, over="valid")

    update = (
        sgd_update(head, momentum=0.9, weight_decay=0.1)
        if kind == "sgd"
        else adamw_update(head, weight_decay=0.1)
    )
    steps = training(head, batches, inputs, update=update, rates=rates, loss=loss, title="test")
    assert list(steps) == [1, 2]
    first, second = ([torch.zeros_like(p) for p in by_hand.parameters()] for _ in range(2))
    for step, (pixels, masks) in enumerate(batches, start=1):
        value = loss(by_hand(inputs.encode(pixels, masks)), masks)
        gradients = torch.autograd.grad(value, list(by_hand.parameters()))
        with torch.no_grad():
            for i, parameter in enumerate(by_hand.parameters()):
                if kind == "sgd":
                    first[i] = 0.9 * first[i] + gradients[i] + 0.1 * parameter
                    parameter -= rates[step - 1] * first[i]
                    continue
                first[i] = 0.9 * first[i] + 0.1 * gradients[i]
                second[i] = 0.999 * second[i] + 0.001 * gradients[i].square()
                parameter *= 1 - rates[step - 1] * 0.1
                scale = (second[i] / (1 - 0.999**step)).sqrt() + 1e-8
                parameter -= rates[step - 1] * first[i] / (1 - 0.9**step) / scale
    for ours, theirs in zip(head.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_masks_that_teach_or_score_nothing_are_refused():
    good = blocks(2, seed=0)
    check_masks(picture_inputs([*void(good), good[0]], good))
    with pytest.raises(ValueError, match="all pixels of the training masks are void"):
        check_masks(picture_inputs(void(good), good))
    with pytest.raises(ValueError, match="all pixels of the test masks are void"):
        check_masks(picture_inputs(good, void(good)))
    with pytest.raises(ValueError, match=r"mask holds class 2 but there are 2 classes"):
        check_masks(picture_inputs(good, good, num_classes=2))
