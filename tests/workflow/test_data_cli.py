"""`franca data`: the catalogue for people, and copies by its names."""

import hashlib

import pytest
from typer.testing import CliRunner

from data_filters import catalogue
from data_filters.catalogue import CATALOGUE, Archive, Counts, Entry
from data_filters.source_kinds import Folder
from tests.data_filters.sources.conftest import FileServer
from workflow.cli import app

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
