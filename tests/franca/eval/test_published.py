"""The paper's numbers are compared under the same protocol only."""

import dataclasses

import pytest

from franca.eval.published import compare_with_paper, published_models, published_numbers
from franca.eval.results import Metric

ADDRESS = {"crop": {"resize": 256, "crop": 224}, "parameters": {"temperature": 0.07}}
KNN = Metric(
    benchmark="knn",
    dataset="imagenet_1k",
    metric="top1@k20",
    value=0.7951,
    ci95=(0.7916, 0.7986),
    n=50000,
    direction="higher",
    protocol="",
    version="1.0",
    unit="fraction",
)


def judged(value=0.7951, *, same_weights=False, address=ADDRESS, **changes):
    ours = dataclasses.replace(KNN, value=value, **changes)
    model = "Franca ViT-B/14"
    return compare_with_paper(ours, address, model=model, same_weights=same_weights)


@pytest.mark.parametrize(
    ("value", "same_weights", "status"),
    [
        (0.7951, True, "match"),  # 0.01 points from 79.5: rounding
        (0.7964, True, "match"),  # 0.14: rounding 0.05 and 1.96 times the seed's 0.05
        (0.7965, True, "differs"),
        (0.7980, False, "within sampling"),  # 0.30: the sampling error of 50,000 images too
        (0.7900, False, "differs"),
    ],
)
def test_verdicts_follow_from_rounding_seed_and_sampling(value, same_weights, status):
    found = judged(value, same_weights=same_weights, ci95=(value - 0.0035, value + 0.0035))
    assert found.status == status
    assert found.difference == pytest.approx(100 * value - 79.5)


def test_another_protocol_is_not_comparable_and_says_why():
    resized = ADDRESS | {"crop": {"resize": 224, "crop": 224}}
    found = judged(address=resized, n=1000)
    assert found.status == "not comparable"
    assert "n is 1000, not 50000" in found.reason
    assert "crop.resize is 224, not 256" in found.reason
    assert 'parameters.temperature is "unknown"' in judged(address={}).reason


def test_what_the_paper_does_not_report_has_no_verdict():
    assert judged(dataset="my_images") is None
    assert compare_with_paper(KNN, ADDRESS, model="mine", same_weights=True) is None


def test_numbers_are_as_printed():
    rows = {(r.model, r.benchmark, r.dataset, r.metric): r for r in published_numbers()}
    assert len(rows) == len(published_numbers())  # none twice
    large = rows["Franca ViT-L/14", "hummingbird", "voc2012", "miou"]
    assert (large.value, large.rounding, large.table) == (79.5, 0.05, "Table 3a")
    assert large.conditions["parameters.memory_size"] is None
    assert rows["Franca ViT-L/14", "spair", "spair71k", "pck@0.1"].rounding == 0.005
    assert published_models()[0] == "Franca ViT-B/14"


def test_segmentation_protocols_never_meet():
    """The paper's and the first README's linear segmentation: other sizes, other masks."""
    for row in published_numbers():
        if row.benchmark.startswith("linseg_mmseg518"):
            assert (row.conditions["parameters.crop"], row.conditions["parameters.stride"]) == (
                518,
                259,
            )
        if row.benchmark == "linseg_neco100":
            assert row.conditions["parameters.mask_side"] == 100
    names = {row.benchmark for row in published_numbers()}
    assert names >= {"hummingbird", "linseg_mmseg518", "linseg_neco100"}
    assert names.isdisjoint({"in_context", "linear_segmentation"})
