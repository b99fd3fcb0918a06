"""What the receipts say, and whether they agree."""

import json

import pytest

from franca.report.receipts import read_run
from tests.franca.report.world import NEEDS, make_run


def test_scale_and_variant_are_the_folders_names(finished_run):
    run = read_run(finished_run)
    assert (run.scale, run.variant) == ("tiny", "franca")
    assert list(run.receipts) == list(NEEDS)


def test_sections_of_the_parameters(finished_run):
    run = read_run(finished_run)
    assert run.section("pretrain")["steps"] == 400
    assert run.section("nonsense") == {}


def test_agreeing_receipts_are_not_stale(finished_run):
    assert read_run(finished_run).stale() == []


def test_a_remade_input_is_noticed(tmp_path):
    inputs = make_run(tmp_path)
    receipt = inputs["pack_shards"] / "receipt.json"
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"summary": {"again": 1}}))
    assert read_run(inputs).stale() == [
        (reader, "pack_shards") for reader in ("pretrain", "finetune_highres", "rasa")
    ]


def test_a_remade_part_is_noticed_once_by_the_parts_that_read_it(tmp_path):
    inputs = make_run(tmp_path)
    for part in ("group-000", "group-001"):
        receipt = inputs["download_images"] / part / "receipt.json"
        receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"summary": {"again": 1}}))
    assert read_run(inputs).stale() == [("filter_images", "download_images")]


@pytest.mark.parametrize("missing", ["scenes", "rasa"])
def test_stages_without_a_receipt_are_left_out(tmp_path, missing):
    inputs = make_run(tmp_path)
    (inputs[missing] / "receipt.json").unlink()
    assert missing not in read_run(inputs).receipts


def test_files_and_bytes_are_counted(finished_run):
    receipt = read_run(finished_run).receipts["pretrain"]
    log = finished_run["pretrain"] / "metrics.jsonl"
    assert (receipt.num_files, receipt.num_bytes) == (1, log.stat().st_size)


def test_a_stage_that_fans_out_has_read_what_its_parts_read(finished_run):
    run = read_run(finished_run)
    assert run.needs("evaluate") == NEEDS["evaluate"]
    files = [p for p in finished_run["evaluate"].rglob("*") if p.is_file()]
    assert run.receipts["evaluate"].num_files == len(files) - 3  # less the receipts
