"""In-context segmentation against open-hummingbird-eval with exact search."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.in_context import (
    build_memory,
    in_context,
    paint,
    patch_labels,
    sample_patches,
    soft_labels,
)
from franca.eval.miou import confusion_matrix, match, matched_mean_iou, merge_columns

CPU = torch.device("cpu")
SETTINGS = {
    "main": {"grid": (8, 8), "classes": 5, "k": 30, "memory": 240},
    "tiny": {"grid": (3, 3), "classes": 4, "k": 9, "memory": 10},
}


def load(arrays, case, name):
    return torch.from_numpy(arrays[f"in/{case}/{name}"])


@pytest.mark.parametrize("case", SETTINGS)
@pytest.mark.parametrize("bounded", [False, True])
def test_matches_the_reference(oracle, case, bounded):
    arrays, settings = oracle("hummingbird"), SETTINGS[case]
    out = f"out/{case}/{'bounded' if bounded else 'unbounded'}"
    bank, bank_mask = load(arrays, case, "bank_features"), load(arrays, case, "bank_mask")
    labels = patch_labels(
        bank_mask, grid=settings["grid"], num_classes=settings["classes"], ignore_index=255
    )
    if bounded:
        kept = sample_patches(
            labels, load(arrays, case, "uniforms"), memory_size=settings["memory"]
        )
        np.testing.assert_array_equal(kept, arrays[f"{out}/sampled_patch_index"])
        rows = torch.arange(len(kept))[:, None]
        bank, labels = bank[rows, kept], labels[rows, kept]
    bank, labels = bank.flatten(0, 1), labels.flatten(0, 1)
    unit = torch.nn.functional.normalize(bank, dim=1)
    np.testing.assert_allclose(unit, arrays[f"{out}/memory_features"], atol=1e-6)
    np.testing.assert_allclose(labels, arrays[f"{out}/memory_labels"], atol=1e-6)

    query, mask = load(arrays, case, "query_features"), load(arrays, case, "query_mask")
    shares = soft_labels(
        query.flatten(0, 1),
        bank,
        labels,
        neighbours=settings["k"],
        temperature=0.02,
        block=50,
        device=CPU,
    ).unflatten(0, query.shape[:2])
    np.testing.assert_allclose(shares, arrays[f"{out}/soft_label_per_patch"], atol=1e-5)
    painted = paint(shares, grid=settings["grid"], size=tuple(mask.shape[1:])).numpy()
    np.testing.assert_array_equal(painted, arrays[f"{out}/predicted_map"])

    for ignore in (255, 0):
        counts = confusion_matrix(
            mask.numpy() if ignore == 255 else np.where(mask == 255, 0, mask),
            painted,
            num_classes=settings["classes"],
            num_predicted=settings["classes"],
            ignore_index=ignore,
        )
        check_metric(arrays, f"{out}/ignore{ignore}", counts)


def check_metric(arrays, out, counts):
    np.testing.assert_array_equal(counts, arrays[f"{out}/confusion_gt_by_pred"])
    # per class after matching: true positives, false positives, false negatives
    matched = merge_columns(counts, match(counts, "hungarian"))
    hits = np.diagonal(matched)
    np.testing.assert_array_equal(hits, arrays[f"{out}/tp"])
    np.testing.assert_array_equal(matched.sum(0) - hits, arrays[f"{out}/fp"])
    np.testing.assert_array_equal(matched.sum(1) - hits, arrays[f"{out}/fn"])
    expected = float(arrays[f"{out}/mean_iou"])
    assert matched_mean_iou(counts, "hungarian", "all") == pytest.approx(expected, abs=1e-6)
    plain = float(arrays[f"{out}/mean_iou_without_matching"])
    assert matched_mean_iou(counts, "identity", "all") == pytest.approx(plain, abs=1e-6)


def toy_split(images, source, *, patches=None):
    masks = torch.randint(3, (images, 4, 4), generator=source, dtype=torch.uint8)
    masks = masks.repeat_interleave(2, 1).repeat_interleave(2, 2)  # constant within 2x2 patches
    labels = patch_labels(masks, grid=(4, 4), num_classes=3, ignore_index=255)
    return DenseFeatures(
        patches=labels if patches is None else patches,
        grid=(4, 4),
        masks=masks,
        depth=None,
        normals=None,
    )


def run(train, test, **changes):
    settings = {"neighbours": 3, "temperature": 0.02, "memory_size": None, "block": 16}
    inputs = SegmentationInputs(train=train, test=test, num_classes=3, ignore_index=255)
    return in_context(inputs, seed=0, device=CPU, **(settings | changes))


def test_ground_truth_features_reach_the_bound_of_the_patch_grid():
    source = torch.Generator().manual_seed(0)
    train, test = toy_split(6, source), toy_split(4, source)
    found = run(train, test).evidence["confusion"]
    bound = paint(test.patches, grid=(4, 4), size=(8, 8)).numpy()
    ideal = [
        confusion_matrix(mask, guess, num_classes=3, num_predicted=3, ignore_index=255)
        for mask, guess in zip(test.masks.numpy(), bound, strict=True)
    ]
    np.testing.assert_array_equal(found, np.stack(ideal))


def test_constant_features_give_one_class_and_no_nan():
    source = torch.Generator().manual_seed(0)
    constant = torch.ones(5, 16, 7)
    split = toy_split(5, source, patches=constant)
    totals = run(split, split, neighbours=1000).evidence["confusion"].sum(0)
    assert np.count_nonzero(totals.sum(0)) == 1


def test_rotation_and_order_of_the_bank_change_nothing():
    source = torch.Generator().manual_seed(0)
    bank, queries = (torch.randn(n, 16, 6, generator=source) for n in (6, 4))
    train = toy_split(6, source, patches=bank)
    test = toy_split(4, source, patches=queries)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=source)).Q
    order = torch.randperm(6, generator=source)
    turned = DenseFeatures(
        patches=bank[order] @ rotation,
        grid=(4, 4),
        masks=train.masks[order],
        depth=None,
        normals=None,
    )
    rotated = DenseFeatures(
        patches=queries @ rotation, grid=(4, 4), masks=test.masks, depth=None, normals=None
    )
    np.testing.assert_array_equal(
        run(train, test).evidence["confusion"], run(turned, rotated).evidence["confusion"]
    )


def test_bounded_memory_keeps_its_size_and_prefers_rare_classes():
    source = torch.Generator().manual_seed(0)
    split = toy_split(5, source)
    features, labels = build_memory(split, num_classes=3, ignore_index=255, memory_size=20, seed=0)
    assert features.shape == labels.shape == (20, 3)
    crowded = torch.zeros(1, 16, 2)
    crowded[0, :15, 0] = 1.0
    crowded[0, 15, 1] = 1.0
    uniforms = torch.full((1, 16), 0.5)
    assert sample_patches(crowded, uniforms, memory_size=1).tolist() == [[15]]
    assert sample_patches(crowded, uniforms, memory_size=999).shape == (1, 16)


def test_void_pixels_of_the_bank_become_class_zero():
    masks = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    shares = patch_labels(masks, grid=(2, 2), num_classes=2, ignore_index=255)
    assert shares.tolist() == [[[1.0, 0.0]] * 4]


def test_mask_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        patch_labels(
            torch.zeros(1, 5, 5, dtype=torch.uint8), grid=(2, 2), num_classes=2, ignore_index=255
        )
