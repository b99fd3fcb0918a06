"""Matching and mIoU against open-hummingbird-eval and NeCo, counts exactly."""

import numpy as np
import pytest

from franca.eval.miou import (
    confusion_matrix,
    match,
    matched_mean_iou,
    mean_iou,
    merge_columns,
    miou_statistic,
    pairwise_iou,
    pixel_accuracy,
)
from franca.eval.resampling import point_estimate

SIZES = {"K6": (6, 6), "K9": (6, 9), "K20": (6, 20), "one_class": (3, 4), "fewer_clusters": (6, 3)}
MATCHINGS = ["hungarian", "many_to_one_iou", "many_to_one_precision"]
CASES = [(case, matching) for case in SIZES for matching in MATCHINGS] + [("K6", "identity")]


def confusion(arrays, case):
    classes, clusters = SIZES[case]
    return confusion_matrix(
        arrays[f"in/{case}/gt"],
        arrays[f"in/{case}/pred"],
        num_classes=classes,
        num_predicted=clusters,
        ignore_index=255,
    )


@pytest.mark.parametrize("case", SIZES)
def test_confusion_matrix_is_exact(oracle, case):
    arrays = oracle("overcluster_miou")
    np.testing.assert_array_equal(
        confusion(arrays, case), arrays[f"out/{case}/confusion_gt_by_pred"]
    )


@pytest.mark.parametrize(("case", "matching"), CASES)
def test_matching_and_mean_iou(oracle, case, matching):
    arrays = oracle("overcluster_miou")
    counts = confusion(arrays, case)
    out = f"out/{case}/{matching}"
    mapping = match(counts, matching)
    np.testing.assert_array_equal(mapping, arrays[f"{out}/cluster_to_class"])
    merged = merge_columns(counts, mapping)
    hits = np.diagonal(merged)
    np.testing.assert_array_equal(hits, arrays[f"{out}/tp"])
    np.testing.assert_array_equal(merged.sum(0) - hits, arrays[f"{out}/fp"])
    np.testing.assert_array_equal(merged.sum(1) - hits, arrays[f"{out}/fn"])
    expected = float(arrays[f"{out}/mean_iou"])
    assert matched_mean_iou(counts, matching, "all") == pytest.approx(expected, abs=1e-9)
    if arrays[f"{out}/versions_agree"]:
        older = float(arrays[f"{out}/mean_iou_pixel_version"])
        assert matched_mean_iou(counts, matching, "all") == pytest.approx(older, abs=1e-6)
    if matching.startswith("many_to_one"):
        background = float(arrays[f"{out}/matched_background_fraction"])
        assert np.mean(mapping == 0) == pytest.approx(background)


def test_union_average_is_the_macro_jaccard_index(oracle):
    arrays = oracle("overcluster_miou")
    counts = confusion(arrays, "K6")
    per_class = np.diagonal(pairwise_iou(counts))
    np.testing.assert_allclose(
        per_class, arrays["out/K6/torchmetrics_jaccard_per_class"], atol=1e-6
    )
    expected = float(arrays["out/K6/torchmetrics_jaccard_macro"])
    assert mean_iou(counts, "union") == pytest.approx(expected, abs=1e-6)


def test_three_averages_differ_by_the_classes_they_count():
    counts = np.array([[6, 2, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    first, second = 6 / 8, 4 / 6
    assert mean_iou(counts, "present") == pytest.approx((first + second) / 2)
    assert mean_iou(counts, "all") == pytest.approx((first + second) / 4)
    counts[0, 2] = 1  # predicted, but nowhere true: a zero for "union", nothing for "present"
    assert mean_iou(counts, "union") == pytest.approx((6 / 9 + second) / 3)


def test_hungarian_undoes_a_swap_and_identity_does_not():
    counts = np.array([[0, 9], [9, 0]])
    assert matched_mean_iou(counts, "hungarian", "all") == 1.0
    assert matched_mean_iou(counts, "identity", "all") == 0.0


def test_void_pixels_change_nothing():
    truth, guess = np.array([0, 1, 255]), np.array([0, 0, 1])
    settings = {"num_classes": 2, "num_predicted": 2, "ignore_index": 255}
    whole = confusion_matrix(truth, guess, **settings)
    np.testing.assert_array_equal(whole, confusion_matrix(truth[:2], guess[:2], **settings))
    empty = confusion_matrix(truth[2:], guess[2:], **settings)
    assert mean_iou(empty, "present") == 0.0


def test_class_outside_the_set_names_the_remedy():
    with pytest.raises(ValueError, match=r"holds class 7 but there are 3 classes.*num_classes"):
        confusion_matrix(
            np.array([7]), np.array([0]), num_classes=3, num_predicted=3, ignore_index=255
        )


def test_statistic_weighs_images():
    evidence = np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]])
    statistic = miou_statistic("identity", "all")
    np.testing.assert_allclose(statistic(evidence, np.array([[2.0, 0.0], [0.0, 2.0]])), [1.0, 0.0])
    assert point_estimate(miou_statistic("hungarian", "all"), evidence[1:]) == 1.0
    np.testing.assert_allclose(pixel_accuracy(evidence, np.array([[3.0, 1.0]])), [0.75])
