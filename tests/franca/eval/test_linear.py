"""The joint training of linear heads against the official loop."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import ClassificationInputs, ImageFeatures
from franca.eval.linear import draw_batches, head_input, linear_cached, split_held_out, train_heads


def stored_features(arrays, case):
    cls = [torch.from_numpy(arrays[f"in/{case}/cls_{i}"]) for i in range(4)]
    patches = torch.from_numpy(arrays[f"in/{case}/patch_3"])
    labels = torch.from_numpy(arrays[f"in/{case}/label"])
    return ImageFeatures(
        cls_blocks=torch.stack(cls, dim=1), mean_patch=patches.mean(1), labels=labels
    )


@pytest.mark.parametrize("case", ["main", "grid"])
@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("average", [False, True])
def test_head_inputs_match_the_official_code(oracle, case, blocks, average):
    arrays = oracle("linear")
    found = head_input(stored_features(arrays, case), blocks=blocks, average_patches=average)
    expected = arrays[f"out/{case}/input_n{blocks}_avgpool{int(average)}"]
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("average", [False, True])
def test_trained_heads_match_the_official_loop(oracle, blocks, average):
    arrays = oracle("linear")
    stored = stored_features(arrays, "main")
    x = head_input(stored, blocks=blocks, average_patches=average)
    rates = [rate * 16 / 256 for rate in (0.01, 0.1, 1.0)]
    np.testing.assert_allclose(rates, arrays["out/main/scaled_lrs"])
    weights, bias = train_heads(
        x,
        stored.labels,
        batches=torch.from_numpy(arrays["in/main/batch_index"]),
        weights=torch.from_numpy(arrays[f"in/main/W0_n{blocks}_avgpool{int(average)}"]),
        learning_rates=rates,
        momentum=0.9,
    )
    for head, offset, rate in zip(weights, bias, rates, strict=True):
        name = f"classifier_{blocks}_blocks_avgpool_{average}_lr_{rate:.5f}".replace(".", "_")
        logits = x @ head.T + offset
        expected = arrays[f"out/main/final_logits/{name}"]
        np.testing.assert_allclose(logits, expected, atol=2e-5, rtol=1e-4)
        accuracy = float((logits.argmax(1) == stored.labels).double().mean())
        assert accuracy == pytest.approx(arrays[f"out/main/final_accuracy/{name}"], abs=1e-6)


def test_total_loss_of_the_first_step_matches(oracle):
    """The initial weights, not only the final ones, are those of the oracle."""
    arrays = oracle("linear")
    stored = stored_features(arrays, "main")
    batch = torch.from_numpy(arrays["in/main/batch_index"][0])
    total = 0.0
    for blocks in (1, 4):
        for average in (False, True):
            x = head_input(stored, blocks=blocks, average_patches=average)[batch]
            weights = torch.from_numpy(arrays[f"in/main/W0_n{blocks}_avgpool{int(average)}"])
            loss = torch.nn.functional.cross_entropy(x @ weights.T, stored.labels[batch])
            total += 3 * float(loss)  # three learning rates
    assert total == pytest.approx(arrays["out/main/total_loss"][0], rel=1e-5)


def toy_inputs():
    source = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(3, 6, generator=source)
    parts = []
    for count in (100, 30):
        labels = torch.randint(3, (count,), generator=source)
        cls = centres[labels] + torch.randn(count, 6, generator=source)
        blocks = torch.stack([torch.randn(count, 6, generator=source), cls], dim=1)
        parts.append(ImageFeatures(cls_blocks=blocks, mean_patch=-cls, labels=labels))
    return ClassificationInputs(train=parts[0], test=parts[1], num_classes=3)


def run(inputs, rates, seed=0):
    return linear_cached(
        inputs,
        seed=seed,
        device=torch.device("cpu"),
        blocks=[1, 2],
        learning_rates=rates,
        steps=40,
        batch_size=32,
        momentum=0.9,
    )


def test_official_grid_keeps_all_its_heads():
    """Two learning rates print alike, and the official code loses four of its 52 heads."""
    rates = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1]
    assert run(toy_inputs(), rates).details["heads"] == 52


def test_head_chosen_without_the_test_images_never_beats_the_best():
    outcome = run(toy_inputs(), [1e-6, 0.3])
    assert outcome.evidence["correct"].mean() > 0.8
    assert outcome.evidence["correct@best"].sum() >= outcome.evidence["correct"].sum()
    assert outcome.details["chosen"].endswith("rate 0.3")


def test_same_seed_same_heads():
    first, second, other = (run(toy_inputs(), [0.01], seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.evidence["correct"], second.evidence["correct"])
    assert first.details == second.details
    assert other.details["heads"] == 4


def test_batches_visit_every_image_once_an_epoch():
    batches = draw_batches(12, steps=6, batch_size=4, seed=0, purpose="test")
    for epoch in batches.view(2, 12):
        assert sorted(epoch.tolist()) == list(range(12))
    assert draw_batches(3, steps=2, batch_size=128, seed=0, purpose="test").shape == (2, 3)


def test_held_out_tenth_is_disjoint_and_never_empty():
    kept, held_out = split_held_out(25, seed=0, purpose="test")
    assert sorted([*kept.tolist(), *held_out.tolist()]) == list(range(25))
    assert len(held_out) == 2
    assert len(split_held_out(3, seed=0, purpose="test")[1]) == 1
