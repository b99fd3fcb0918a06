"""Copies over a real connection: broken ones go on, wrong ones are refused, nothing is replaced."""

import hashlib
import random
import resource

import pytest

from data_filters.catalogue import Archive, Counts, Entry
from data_filters.source_kinds import Folder
from data_filters.sources.mirror import RemoteFile, describe, list_remote, mirror

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def file(server):
    (server.folder / "part.parquet").write_bytes(CONTENT)
    return RemoteFile(
        url=f"{server.url}/part.parquet", name="part.parquet", bytes=len(CONTENT), hash=SHA256
    )


def test_a_copy_has_the_content_and_is_made_once(server, file, tmp_path):
    copy = tmp_path / "copy"
    assert mirror([file], copy, key="k") == 1
    assert (copy / "part.parquet").read_bytes() == CONTENT
    requests = len(server.served)
    assert mirror([file], copy, key="k") == 0
    assert len(server.served) == requests
    assert [path.name for path in copy.iterdir()] == ["part.parquet"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_copy_goes_on_where_it_was(server, file, tmp_path, ranges):
    copy = tmp_path / "copy"
    copy.mkdir()
    server.ranges = ranges
    mirror([file], tmp_path / "once", key="k")
    server.status = 503
    with pytest.raises(ConnectionError, match=r"after 0 of 3,000,000 bytes \(503.*run again"):
        mirror([file], copy, key="k")
    (partial,) = copy.iterdir()
    partial.write_bytes(CONTENT[:1_234_567])
    server.status = 200
    server.served.clear()
    assert mirror([file], copy, key="k") == 1
    assert (copy / "part.parquet").read_bytes() == CONTENT
    assert server.served[0][1] == (1_234_567 if ranges else 0)


def test_a_connection_cut_in_the_middle_keeps_what_came(server, file, tmp_path):
    server.ranges, server.cut = False, 2_000_000
    with pytest.raises(ConnectionError, match="broke off"):
        mirror([file], tmp_path / "copy", key="k")
    (partial,) = (tmp_path / "copy").iterdir()
    arrived = partial.read_bytes()
    assert 0 < len(arrived) <= 2_000_000
    assert arrived == CONTENT[: len(arrived)]


def test_another_state_of_the_file_starts_a_copy_of_its_own(server, file, tmp_path):
    server.status = 503
    with pytest.raises(ConnectionError):
        mirror([file], tmp_path / "copy", key="k")
    (partial,) = (tmp_path / "copy").iterdir()
    partial.write_bytes(b"of an older state")
    server.status = 200
    newer = RemoteFile(url=file.url, name=file.name, bytes=file.bytes, hash=SHA256, version="other")
    mirror([newer], tmp_path / "copy", key="k")
    assert (tmp_path / "copy/part.parquet").read_bytes() == CONTENT
    assert partial.read_bytes() == b"of an older state"


def test_wrong_content_is_refused_and_kept_aside(server, file, tmp_path):
    other = bytes(len(CONTENT))
    (server.folder / "part.parquet").write_bytes(other)
    with pytest.raises(ValueError, match=r"its sha256 is .*, not .*; what came is kept as"):
        mirror([file], tmp_path / "copy", key="k")
    (rejected,) = (tmp_path / "copy").iterdir()
    assert rejected.suffix == ".rejected"
    assert rejected.read_bytes() == other
    (server.folder / "part.parquet").write_bytes(CONTENT)
    assert mirror([file], tmp_path / "copy", key="k") == 1


@pytest.mark.parametrize(
    ("present", "words"), [(b"short", "has 5 bytes"), (bytes(len(CONTENT)), "its sha256 is")]
)
def test_what_is_there_is_never_replaced(file, tmp_path, present, words):
    target = tmp_path / "copy" / "part.parquet"
    target.parent.mkdir()
    target.write_bytes(present)
    with pytest.raises(ValueError, match=words) as caught:
        mirror([file], target.parent, key="k")
    assert "move it away" in str(caught.value)
    assert target.read_bytes() == present


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_in_one_line(server, file, tmp_path, status):
    server.status = status
    with pytest.raises(
        PermissionError, match=rf"k: access to .* is refused \({status}\)"
    ) as caught:
        mirror([file], tmp_path, key="k")
    assert "\n" not in str(caught.value)


def test_a_size_that_nobody_states_is_learnt_from_the_store(server, file):
    found = describe(server.url, "part.parquet")
    assert (found.url, found.bytes, found.hash) == (file.url, len(CONTENT), None)


def test_a_copy_that_cannot_be_written_says_so(file, tmp_path):
    """Only what the store does is worth another attempt."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            mirror([file], tmp_path / "copy", key="k")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not isinstance(caught.value, ConnectionError)
    assert mirror([file], tmp_path / "copy", key="k") == 1
    assert (tmp_path / "copy/part.parquet").read_bytes() == CONTENT


def test_what_the_publisher_has_no_more_is_told_from_a_broken_connection(server, tmp_path):
    gone = RemoteFile(url=f"{server.url}/gone.zip", name="gone.zip", bytes=None, hash=None)
    with pytest.raises(FileNotFoundError, match=r"gone\.zip: its publisher has it no more"):
        mirror([gone], tmp_path, key="k")


def test_nobody_there_is_told_with_the_cause(server, tmp_path):
    file = RemoteFile(url=f"{server.url}/a.zip", name="a.zip", bytes=None, hash=None)
    server.close()
    with pytest.raises(
        ConnectionError, match=r"an unknown number of bytes \(.*Connect call failed"
    ):
        mirror([file], tmp_path, key="k")


def test_an_entry_lists_its_archives(server):
    archive = Archive(url=f"{server.url}/a.zip", bytes=5, hash=SHA256, unpack="unzip a.zip")
    entry = Entry(
        summary="A set",
        layout=Folder(kind="folder", root="", class_subfolders=False),
        counts=Counts(rows=1),
        licence="ours",
        access="fetch it",
        archives=(archive,),
    )
    (file,) = list_remote(entry, key="k")
    assert (file.name, file.bytes, file.hash) == ("a.zip", 5, SHA256)


@pytest.mark.parametrize("size", [2, 4])
def test_without_a_hash_the_size_decides_whether_a_copy_is_there(tmp_path, size):
    (tmp_path / "a.bin").write_bytes(b"x" * size)
    file = RemoteFile(url="memory://set/a.bin", name="a.bin", bytes=3, hash=None)
    with pytest.raises(ValueError, match=f"has {size} bytes where 3 are published: move it away"):
        mirror([file], tmp_path, key="set")
    assert (tmp_path / "a.bin").read_bytes() == b"x" * size
