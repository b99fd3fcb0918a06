"""What `make reproduce` must have shown: a guard against regressions of the embedded default.

Reads the published run of scale `tiny`; continuous integration makes it just before the tests.
"""

import json
import math
from pathlib import Path

import pytest

from workflow.receipts import verify_hashes

TINY = Path(__file__).parents[2] / "artifacts/tiny"
EVALUATION = TINY / "franca/evaluate"
RANDOM, TRAINED = "step-0000000", "step-0000400"

pytestmark = pytest.mark.skipif(
    not (TINY / "franca/report/receipt.json").is_file(),
    reason="scale `tiny` has not been run here: make reproduce",
)


@pytest.fixture(scope="module")
def results():
    """Rows of results.json by checkpoint, benchmark and metric."""
    rows = json.loads((EVALUATION / "results.json").read_text())
    return {(row["checkpoint"], row["benchmark"], row["metric"]): row for row in rows}


@pytest.mark.parametrize(
    ("benchmark", "metric"),
    [
        ("knn", "top1@k20"),
        ("knn", "top1@d/8"),
        ("linear_cached", "top1"),
        ("logreg", "top1@standardised"),
        ("in_context", "miou"),
        ("hummingbird", "miou"),
        ("linear_segmentation", "miou"),
        ("depth", "rmse"),
    ],
)
def test_training_beats_the_random_initialisation_with_intervals_apart(results, benchmark, metric):
    untrained, trained = (results[name, benchmark, metric] for name in (RANDOM, TRAINED))
    low, high = (untrained, trained) if trained["direction"] == "higher" else (trained, untrained)
    assert low["ci95"][1] < high["ci95"][0], (untrained, trained)


def test_rasa_takes_position_away_and_leaves_the_cls_token_alone(results):
    before, after = (results[name, "position", "r2"] for name in ("highres", "rasa"))
    assert after["ci95"][1] < before["ci95"][0]
    for metric in ("top1@k20", "top1@d/8"):
        before, after = (results[name, "knn", metric]["value"] for name in ("highres", "rasa"))
        assert before == after


def test_the_losses_left_the_plateau_of_uniform_targets():
    rows = [
        json.loads(line)
        for line in (TINY / "franca/pretrain/metrics.jsonl").read_text().splitlines()
    ]
    # A student that says nothing has the cross-entropy log K, level by level; two of the six pairs
    # of crops are pairs of global ones.
    levels = [256 >> halvings for halvings in range(4)]
    plateau = sum(map(math.log, levels)) / len(levels) * 2 / 6
    assert sum(row["dino_global"] for row in rows[-10:]) / 10 < 0.99 * plateau


def test_every_planted_fault_was_dropped_for_its_reason():
    funnel = json.loads((TINY / "pack_shards/funnel.json").read_text())
    reasons = {reason for account in funnel for reason in account["reasons"]}
    assert reasons >= {
        "probably_unsafe", "probably_watermarked", "side_too_short", "too_elongated",
        "caption_unrelated", "caption_too_short", "scheme_not_allowed", "http_404", "http_410",
        "private_address", "not_an_image", "md5_mismatch", "opted_out", "near_uniform",
        "near_duplicate", "same_bytes",
    }  # fmt: skip
    assert all(account["in"] == account["kept"] + account["dropped"] for account in funnel)


def test_every_file_is_what_its_receipt_says():
    folders = [file.parent for file in TINY.rglob("receipt.json")]
    assert len(folders) >= 20
    for folder in folders:
        assert verify_hashes(folder) >= 0


def test_the_report_finds_the_receipts_in_agreement():
    page = (TINY / "franca/report/index.html").read_text()
    assert "Provenance" in page
    assert "Receipts disagree" not in page
