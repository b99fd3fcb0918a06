"""Receipts: the same work gives the same bytes; a folder with a receipt is complete."""

import json

import pytest

from workflow import receipts


def publish(tmp_path, content="one", summary=None):
    staging = tmp_path / "staging"
    (staging / "deep").mkdir(parents=True, exist_ok=True)
    (staging / "deep" / "file.txt").write_text(content)
    receipt = receipts.make(
        staging, stage="s", parameters={"a": 1}, inputs={}, summary=summary or {}
    )
    receipts.publish(staging, tmp_path / "target", receipt)
    return tmp_path / "target"


def test_the_same_work_gives_the_same_bytes(tmp_path):
    first = (publish(tmp_path / "a") / "receipt.json").read_bytes()
    second = (publish(tmp_path / "b") / "receipt.json").read_bytes()
    assert first == second
    assert str(tmp_path).encode() not in first


def test_content_parameters_and_inputs_are_recorded(tmp_path):
    target = publish(tmp_path)
    receipt = receipts.read(target)
    assert receipt["parameters"] == {"a": 1}
    size = (target / "deep" / "file.txt").stat().st_size
    digest = receipts.file_hash(target / "deep" / "file.txt")
    listing = target / "outputs.json"
    assert json.loads(listing.read_text()) == {"deep/file.txt": f"{digest} {size}"}
    assert receipt["outputs"] == {
        "files": 1, "bytes": size, "sha256": receipts.file_hash(listing),
    }  # fmt: skip


def test_a_receipt_stays_small_whatever_the_number_of_files(tmp_path):
    """Snakemake compares the content of files below a limit only."""
    for number in range(500):
        (tmp_path / f"{number:04d}.txt").write_text("x")
    receipt = receipts.make(tmp_path, stage="s", parameters={}, inputs={}, summary={})
    assert receipt["outputs"]["files"] == 500
    assert len(json.dumps(receipt)) < 1000


def test_an_earlier_run_leaves_nothing_behind_but_what_is_kept(tmp_path):
    target = publish(tmp_path)
    for name in ("stale.txt", "part"):
        (target / name).write_text("old")
    staging = tmp_path / "again"
    staging.mkdir()
    receipts.publish(staging, target, {}, keep=["part"])
    assert sorted(path.name for path in target.iterdir()) == ["part", "receipt.json"]


def test_missing_truncated_and_altered_files_are_named(tmp_path):
    target = publish(tmp_path)
    file = target / "deep" / "file.txt"
    assert receipts.verify_hashes(target) == 1
    file.write_text("two")
    receipts.verify(target)
    with pytest.raises(ValueError, match=r"deep/file\.txt: its content is not what"):
        receipts.verify_hashes(target)
    file.write_text("longer")
    with pytest.raises(ValueError, match="6 bytes, 3 when it was published; delete"):
        receipts.verify(target)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="published but missing"):
        receipts.verify(target)


def test_an_altered_or_missing_list_is_named(tmp_path):
    target = publish(tmp_path)
    (target / "outputs.json").write_text("{}")
    with pytest.raises(ValueError, match=r"outputs\.json: its content is not what the receipt"):
        receipts.verify(target)
    (target / "outputs.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"outputs\.json: missing; delete"):
        receipts.verify(target)


def test_no_receipt_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="snakemake --cores all"):
        receipts.read(tmp_path)


def test_numbers_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        publish(tmp_path, summary={"loss": float("nan")})
    assert not (tmp_path / "target" / "receipt.json").exists()


def test_a_receipt_is_plain_json(tmp_path):
    assert json.loads((publish(tmp_path) / "receipt.json").read_text())["stage"] == "s"
