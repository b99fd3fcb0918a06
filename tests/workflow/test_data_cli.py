"""`franca data`: the catalogue for people, copies by its names, and selections fetched again."""

import hashlib
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from data_filters import catalogue
from data_filters.catalogue import CATALOGUE, Archive, Counts, Entry, lookup
from data_filters.records import MANIFEST, content_id
from data_filters.source_kinds import Folder
from tests.data_filters.sources.conftest import FileServer
from workflow.cli import app

ROOT = Path(__file__).parents[2]
CONTENT = b"an archive" * 1000


def franca(*arguments):
    result = CliRunner().invoke(app, ["data", *arguments])
    return result.exit_code, result.output, result.exception


def test_the_list_has_every_entry_with_its_terms():
    _, output, _ = franca("sources")
    for name, entry in CATALOGUE.items():
        (line,) = [line for line in output.splitlines() if line.split()[0] == name]
        assert entry.licence in line
    assert "2,097,693,557" in output


def test_one_of_them_is_told_with_a_line_for_the_parameters():
    _, output, _ = franca("sources", "kitti_object_train")
    for words in ("CC-BY-NC-SA", "7,481 rows", "training/image_2", "root: WHERE/YOUR/COPY/IS"):
        assert words in output
    _, output, _ = franca("sources", "relaion2b_en_research_safe")
    assert "width = original_width" in output
    assert "HF_TOKEN" in output
    *_, error = franca("sources", "vocc")
    assert "did you mean 'voc2012'" in str(error)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A catalogue of one set, whose archive a loopback server has."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/set.tar").write_bytes(CONTENT)
    server = FileServer(tmp_path / "served")
    archive = Archive(
        url=f"{server.url}/set.tar",
        bytes=len(CONTENT),
        hash=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        unpack="tar -xf set.tar",
    )
    entry = Entry(
        summary="A set",
        layout=Folder(kind="folder", root="", class_subfolders=False),
        counts=Counts(rows=1),
        licence="ours",
        access="fetch it",
        archives=(archive,),
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", {"a_set": entry})
    yield server
    server.close()


def test_a_copy_is_made_once_and_says_how_to_go_on(published, tmp_path):
    copy = tmp_path / "copy"
    _, output, _ = franca("fetch", "a_set", "--to", str(copy), "--dry-run")
    assert published.url in output
    assert not copy.exists()
    _, output, _ = franca("fetch", "a_set", "--to", str(copy))
    assert (copy / "set.tar").read_bytes() == CONTENT
    assert "1 of them fetched now" in output
    assert "tar -xf set.tar" in output
    _, output, _ = franca("fetch", "a_set", "--to", str(copy))
    assert "0 of them fetched now" in output


def test_a_folder_behind_a_url_is_copied_whole(tmp_path):
    source = tmp_path / "store/set/images"
    source.mkdir(parents=True)
    (source / "one.bin").write_bytes(CONTENT)
    (source.parent / "labels.txt").write_text("0")
    copy = tmp_path / "copy"
    _, output, _ = franca("fetch", source.parent.as_uri(), "--to", str(copy))
    assert "2 files, 2 of them fetched now" in output
    assert (copy / "images/one.bin").read_bytes() == CONTENT
    assert (copy / "labels.txt").read_text() == "0"
    plain = tmp_path / "plain"
    _, output, _ = franca("fetch", str(source.parent), "--to", str(plain))
    assert "2 files, 2 of them fetched now" in output
    assert (plain / "images/one.bin").read_bytes() == CONTENT
    *_, error = franca("fetch", f"{tmp_path.as_uri()}/nowhere", "--to", str(copy))
    assert "nowhere" in str(error)


def test_a_folder_beside_is_named_without_a_slash(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/one.bin").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    _, output, _ = franca("fetch", "images", "--to", "copy")
    assert "1 files, 1 of them fetched now" in output
    assert (tmp_path / "copy/one.bin").read_bytes() == CONTENT
    *_, error = franca("fetch", "image", "--to", "copy")
    assert "no data set 'image' in the catalogue" in str(error)
    *_, error = franca("fetch", "./image", "--to", "copy")
    assert "no folder './image'" in str(error)


def test_what_nobody_publishes_is_said_to_be_so(tmp_path):
    *_, error = franca("fetch", "laion_coco", "--to", str(tmp_path / "copy"))
    assert str(error).startswith("laion_coco: its publisher offers nothing to fetch. ")
    assert lookup("laion_coco").access in str(error)
    assert "root" not in str(error)


@pytest.fixture
def place(tmp_path):
    """Work in a folder with the parameters, a published world and a manifest of two images."""
    origin = tmp_path / "artifacts" / "tiny" / "scenes" / "origin"
    origin.mkdir(parents=True)
    (origin / "faults.json").write_text("{}")
    Image.linear_gradient("L").save(origin / "a.jpg")
    data = (origin / "a.jpg").read_bytes()
    rows = [
        {
            "key": str(shard), "row_id": content_id(name), "url": f"http://{{origin}}/{name}",
            "sha256": hashlib.sha256(data).hexdigest(), "shard": shard, "width": 64, "height": 48,
            "original_md5": hashlib.md5(data).hexdigest(),
        }
        for shard, name in enumerate(["a.jpg", "b.jpg"])
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST), tmp_path / "manifest.parquet")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


def rebuild(place, *more):
    command = ["franca", "data", "rebuild", "--manifest", "manifest.parquet", "--to", "again"]
    return subprocess.run([*command, *more], cwd=place, capture_output=True, text=True, check=False)


def test_what_is_lost_is_told_and_is_a_failure_above_the_threshold(place):
    done = rebuild(place)
    assert done.returncode == 1, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["images", "share"],
        ["same", "1", "50.0%"],
        ["changed", "0", "0.0%"],
        ["gone:", "http_404", "1", "50.0%"],
        ["all", "2", "100.0%"],
    ]
    assert done.stderr.splitlines()[-1] == "50.0% are the same, fewer than 80.0%"
    assert (place / "again" / "shard-000000.tar").exists()
    assert not (place / "again" / "shard-000001.tar").exists()


def test_a_dry_run_writes_nothing_and_a_bad_threshold_is_named(place):
    done = rebuild(place, "--show")
    assert done.returncode == 0
    assert '"verify_md5": true' in done.stdout
    assert rebuild(place, "--min-same", "80").stderr.startswith("franca: --min-same 80.0: must be")
    assert not (place / "again").exists()
