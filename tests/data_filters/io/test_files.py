"""Files appear whole or not at all; folders that are missing are told in one line."""

import json

import fsspec
import pytest

from data_filters.io.files import (
    atomic_path,
    check_digest,
    digest_of_sizes,
    is_remote,
    link_or_copy,
    list_files,
    open_binary,
    read_json,
    write_json,
)


def test_a_failed_write_leaves_nothing(tmp_path):
    target = tmp_path / "deep" / "file.txt"

    def fail_half_way():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert list(target.parent.iterdir()) == []


def test_a_write_replaces_what_was_there(tmp_path):
    target = tmp_path / "file.json"
    write_json(target, {"b": 1, "a": "ü"})
    write_json(target, {"b": 2, "a": "ü"})
    assert target.read_text() == '{\n  "b": 2,\n  "a": "ü"\n}\n'
    assert read_json(target) == {"a": "ü", "b": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_a_file_is_published_by_link_or_by_copy(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"bytes")
    link_or_copy(source, tmp_path / "a" / "linked")
    assert (tmp_path / "a" / "linked").samefile(source)

    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr(type(source), "hardlink_to", refuse)
    link_or_copy(source, tmp_path / "b" / "copied")
    assert (tmp_path / "b" / "copied").read_bytes() == b"bytes"
    assert not (tmp_path / "b" / "copied").samefile(source)


def test_files_are_listed_sorted_and_relative(tmp_path):
    for name in ("b/2.txt", "a.txt", "b/1.txt", "b/x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(name))
    names = list_files(str(tmp_path), "**/*.txt", key="k", layout="texts")
    assert names == ["a.txt", "b/1.txt", "b/2.txt"]
    with open_binary(str(tmp_path), "b/1.txt") as file:
        assert file.read() == b'"b/1.txt"'


def test_remote_folders_are_listed_alike():
    system = fsspec.filesystem("memory")
    with system.open("/listing/part-1.parquet", "wb") as file:
        file.write(b"x")
    root = "memory://listing"
    assert is_remote(root)
    assert list_files(root, "part-*.parquet", key="k", layout="parts") == ["part-1.parquet"]
    with open_binary(root, "part-1.parquet") as file:
        assert file.read() == b"x"


@pytest.mark.parametrize("name", ["a*", "a?", "a[1]"])
def test_a_folder_named_like_a_pattern_is_refused(tmp_path, name):
    for folder in (name, "ab", "a1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    with pytest.raises(ValueError, match="rename the folder, or link to it"):
        list_files(str(tmp_path / name), "*.jpg", key="source.root", layout="images")


def test_a_missing_folder_is_named_with_its_key_and_layout(tmp_path):
    missing = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"source\.root: no folder '.*nowhere'.*expected t"):
        list_files(missing, "*", key="source.root", layout="tars")
    with pytest.raises(FileNotFoundError, match=r"nothing in .* matches '\*\.tar'; expected tars"):
        list_files(str(tmp_path), "*.tar", key="source.root", layout="tars")


def test_a_file_is_the_one_that_parameters_name_or_an_error(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert check_digest(file, digest, key="a.key") == file
    file.write_bytes(b"abd")
    with pytest.raises(ValueError, match=r"a\.key: .*weights' has the digest a52d159f.*, not ba78"):
        check_digest(file, digest, key="a.key")
    with pytest.raises(FileNotFoundError, match=r"a\.key: no file"):
        check_digest(tmp_path / "nothing", digest, key="a.key")


def test_the_digest_of_sizes_notices_other_names_and_other_sizes(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b").write_bytes(b"22")
    first = digest_of_sizes(str(tmp_path))
    assert digest_of_sizes(f"file://{tmp_path}") == first
    (tmp_path / "deep/b").write_bytes(b"333")
    longer = digest_of_sizes(str(tmp_path))
    (tmp_path / "deep/b").rename(tmp_path / "c")
    assert len({first, longer, digest_of_sizes(str(tmp_path))}) == 3
