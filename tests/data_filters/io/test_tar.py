"""Tars: fixed bytes out, cut files noticed on the way in."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_filters.io.tar import TruncatedTarError, read_at, read_tar, write_tar

MEMBERS = [("a.jpg", b"x" * 700), ("a.json", b"{}"), ("b.jpg", b"")]


def written_by_the_standard_library():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in MEMBERS:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_the_bytes_are_those_of_a_plain_ustar_file(tmp_path):
    write_tar(tmp_path / "a.tar", MEMBERS)
    assert (tmp_path / "a.tar").read_bytes() == written_by_the_standard_library()


def test_headers_hold_no_clock_and_no_owner(tmp_path):
    write_tar(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(tmp_path / "a.tar") as archive:
        infos = archive.getmembers()
    assert [(i.name, i.mtime, i.uid, i.gid, i.mode, i.uname) for i in infos] == [
        (name, 0, 0, 0, 0o644, "") for name, _ in MEMBERS
    ]
    assert (tmp_path / "a.tar").stat().st_size % tarfile.RECORDSIZE == 0


def test_offsets_lead_to_the_bytes(tmp_path):
    members = write_tar(tmp_path / "a.tar", MEMBERS)
    places = [(member.offset, member.size) for member in members]
    assert list(read_at(tmp_path / "a.tar", places)) == [data for _, data in MEMBERS]
    with pytest.raises(TruncatedTarError, match=r"/a\.tar: truncated.*run download_images"):
        list(read_at(tmp_path / "a.tar", [(10_000, 1_000)]))


def test_members_must_come_sorted(tmp_path):
    with pytest.raises(AssertionError, match="b"):
        write_tar(tmp_path / "a.tar", [("b", b""), ("a", b"")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_others_wrote_is_read(mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in MEMBERS:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    buffer.seek(0)
    read = [(member.name, data) for member, data in read_tar(buffer, name="x.tar")]
    assert read == MEMBERS


@given(st.integers(0, 3 * 512 + 1024 + 512))
def test_a_cut_never_gives_wrong_bytes_and_is_always_noticed(length):
    read, error = [], None
    try:
        for member, data in read_tar(
            io.BytesIO(written_by_the_standard_library()[:length]), name="x.tar"
        ):
            read.append((member.name, data))
    except TruncatedTarError as caught:
        error = caught
    assert read == MEMBERS[: len(read)]
    assert "fetch this file again" in str(error)
    if 512 < length < 512 + 700:
        assert error.member == "a.jpg"


def test_a_spoilt_header_in_the_middle_is_noticed():
    data = bytearray(written_by_the_standard_library())
    data[1536 + 150] ^= 0xFF  # the checksum of the second header
    with pytest.raises(TruncatedTarError, match="between members"):
        list(read_tar(io.BytesIO(bytes(data)), name="x.tar"))


def test_what_is_no_tar_is_named():
    with pytest.raises(TruncatedTarError, match=r"x\.tar: truncated or corrupt between members"):
        list(read_tar(io.BytesIO(b"<html>" * 200), name="x.tar"))
