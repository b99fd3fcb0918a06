"""Data sets that the `datasets` library opens, streamed with their original bytes."""

import os
import subprocess
import sys

import pytest

from data_filters.io.tar import write_tar
from data_filters.sources.huggingface import HuggingfaceReader


def reader(**changes):
    settings = {
        "name": None,
        "split": "train",
        "revision": None,
        "data_files": None,
        "image_column": "image",
        "label_column": "label",
        "key": "source",
    }
    return HuggingfaceReader(**{**settings, **changes})


@pytest.fixture
def folder(tmp_path, jpeg):
    for index, label in enumerate(("cat", "dog")):
        (tmp_path / "set/train" / label).mkdir(parents=True)
        (tmp_path / "set/train" / label / "1.jpg").write_bytes(jpeg(index))
    return tmp_path / "set"


def test_a_local_folder_with_class_names(folder, jpeg):
    source = reader(root=str(folder))
    assert source.num_parts() == 1
    rows = list(source.images(0, with_data=True))
    assert [(row.path, row.caption, row.data) for row in rows] == [
        ("train-00000#0", "cat", jpeg(0)),
        ("train-00000#1", "dog", jpeg(1)),
    ]
    listing = list(source.images(0, with_data=False))
    assert listing == [row._replace(data=None) for row in rows]


def test_a_builder_reads_every_file_as_a_part(tmp_path, jpeg):
    for number in range(3):
        members = [("a.jpg", jpeg(number)), ("a.txt", f"text {number}".encode())]
        write_tar(tmp_path / f"{number}.tar", members)
    source = reader(
        root="webdataset",
        data_files=str(tmp_path / "*.tar"),
        image_column="jpg",
        label_column="txt",
    )
    parts = [list(source.images(part, with_data=True)) for part in range(source.num_parts())]
    assert [[(row.caption, row.data) for row in part] for part in parts] == [
        [(f"text {number}", jpeg(number))] for number in range(3)
    ]


def test_the_hub_is_not_asked_when_it_may_not_be():
    """In a process of its own: the Hub's client reads the environment once."""
    code = (
        "from tests.data_filters.sources.test_huggingface import reader\n"
        "try: reader(root='someone/some-set')\n"
        "except PermissionError as error: print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "HF_HUB_OFFLINE is set: set it to 0" in run.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "tset"}, r"source: datasets cannot open .*: Bad split: tset"),
        ({"label_column": "labels"}, r"source\.label_column: no column 'labels'; it has image"),
        ({"root": "/nowhere/at/all"}, "source: datasets cannot open '/nowhere/at/all'"),
    ],
)
def test_mistakes_are_told_in_one_line(folder, changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        reader(**{"root": str(folder), **changes})
    assert "\n" not in str(caught.value)


def test_a_broken_file_among_others_is_told_by_its_place(huggingface_parquet, jpeg):
    whole, broken = (huggingface_parquet(f"{n}.parquet", [jpeg(n)], [0]) for n in range(2))
    broken.write_bytes(b"<html>quota exceeded</html>")
    source = reader(root="parquet", data_files=str(whole.parent / "*.parquet"))
    assert len(list(source.images(0, with_data=True))) == 1
    words = r"shard 1 of 'train' of 'parquet': not readable \(.*; fetch it again, or leave it out"
    with pytest.raises(ValueError, match=words):
        list(source.images(1, with_data=True))
