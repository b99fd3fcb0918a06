"""The joint training of linear heads against the official loop: every array of the oracle."""

import math

import numpy as np
import pytest
import torch

from franca.eval.benchmark import ImageFeatures
from franca.eval.heads import HeadInput, Heads, draw_batches, split_held_out, train_heads

KINDS = [HeadInput(blocks, average) for blocks in (1, 4) for average in (False, True)]
RATES = (0.01, 0.1, 1.0)


def stored_features(arrays, case):
    cls = [torch.from_numpy(arrays[f"in/{case}/cls_{i}"]) for i in range(4)]
    patches = torch.from_numpy(arrays[f"in/{case}/patch_3"])
    labels = torch.from_numpy(arrays[f"in/{case}/label"])
    return ImageFeatures(
        cls_blocks=torch.stack(cls, dim=1), mean_patch=patches.mean(1), labels=labels
    )


def short(kind):
    return f"n{kind.blocks}_avgpool{int(kind.average_patches)}"


@pytest.fixture(scope="module")
def official():
    """The stored arrays, and our heads after the oracle's 25 steps with the loss of each."""
    from tests.franca.eval.conftest import ORACLES

    arrays = np.load(ORACLES / "linear.npz", allow_pickle=False)
    stored = stored_features(arrays, "main")
    grid = {
        kind: Heads(
            torch.from_numpy(arrays[f"in/main/W0_{short(kind)}"]),
            learning_rates=arrays["out/main/scaled_lrs"].tolist(),
            momentum=0.9,
        )
        for kind in KINDS
    }
    batches = torch.from_numpy(arrays["in/main/batch_index"])
    losses = []
    for step, batch in enumerate(batches):
        share = (1 + math.cos(math.pi * step / len(batches))) / 2
        each = [
            heads.step(kind(stored)[batch], stored.labels[batch], share=share)
            for kind, heads in grid.items()
        ]
        losses.append(float(torch.stack(each).sum()))
    return arrays, stored, grid, losses


@pytest.mark.parametrize("case", ["main", "grid"])
@pytest.mark.parametrize("kind", KINDS, ids=short)
def test_head_inputs_match_the_official_code(oracle, case, kind):
    arrays = oracle("linear")
    expected = arrays[f"out/{case}/input_{short(kind)}"]
    found = kind(stored_features(arrays, case))
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


def test_learning_rates_scale_with_the_batch(oracle):
    arrays = oracle("linear")
    np.testing.assert_allclose([r * 16 / 256 for r in RATES], arrays["out/main/scaled_lrs"])
    official = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1]
    np.testing.assert_allclose([r * 128 / 256 for r in official], arrays["out/grid/scaled_lrs"])


def test_loss_of_every_step_matches(official):
    arrays, _, _, losses = official
    np.testing.assert_allclose(losses, arrays["out/main/total_loss"], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=short)
def test_trained_heads_match_the_official_loop(official, kind):
    arrays, stored, grid, _ = official
    every = grid[kind].logits(kind(stored))
    for logits, rate in zip(every, arrays["out/main/scaled_lrs"], strict=True):
        name = f"classifier_{kind.blocks}_blocks_avgpool_{kind.average_patches}_lr_{rate:.5f}"
        name = name.replace(".", "_")
        expected = arrays[f"out/main/final_logits/{name}"]
        np.testing.assert_allclose(logits, expected, atol=2e-5, rtol=1e-4)
        accuracy = float((logits.argmax(1) == stored.labels).double().mean())
        assert accuracy == pytest.approx(arrays[f"out/main/final_accuracy/{name}"], abs=1e-6)


def test_no_head_of_the_grid_is_lost(official, oracle):
    """Two learning rates print alike, and the official code loses four of its 52 heads."""
    arrays, _, grid, _ = official
    assert len(arrays["out/main/head_names"]) == len(grid) * len(RATES)
    for count in ("requested", "after_key_collision"):
        assert int(arrays[f"out/main/n_heads_{count}"]) == len(grid) * len(RATES)
    arrays = oracle("linear")
    requested, kept = (
        int(arrays[f"out/grid/n_heads_{name}"]) for name in ("requested", "after_key_collision")
    )
    assert (requested, kept) == (52, 48)


def test_a_stream_of_batches_trains_what_the_steps_do():
    source = torch.Generator().manual_seed(0)
    cls, labels = torch.randn(12, 2, 5, generator=source), torch.arange(12) % 3
    batches = draw_batches(12, steps=4, batch_size=6, seed=0, purpose="test")
    kind = HeadInput(2, average_patches=True)

    def stream():
        for rows in batches:
            yield ImageFeatures(cls_blocks=cls[rows], mean_patch=cls[rows, 0], labels=labels[rows])

    grid = train_heads(
        stream(), inputs=[kind], num_classes=3, learning_rates=[0.0, 1.0], momentum=0.9, steps=4,
        seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    untouched, trained = grid[kind].weights
    alone = Heads(untouched, learning_rates=[1.0 * 6 / 256], momentum=0.9)
    for step, batch in enumerate(stream()):
        alone.step(kind(batch), batch.labels, share=(1 + math.cos(math.pi * step / 4)) / 2)
    torch.testing.assert_close(trained, alone.weights[0])
    assert not torch.allclose(trained, untouched)


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
