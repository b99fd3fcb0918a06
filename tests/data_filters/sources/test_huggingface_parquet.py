"""Hugging Face parquet through the `datasets` library."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.sources.huggingface_parquet import HuggingfaceParquetReader
from tests.data_filters.sources.conftest import spoil_page


def reader(file, **changes):
    settings = {
        "root": str(file.parent),
        "files": "train-*.parquet",
        "image_column": "image",
        "label_column": "label",
        "key": "source",
    }
    return HuggingfaceParquetReader(**{**settings, **changes})


@pytest.fixture
def file(huggingface_parquet, jpeg):
    huggingface_parquet("val-00000-of-00001.parquet", [jpeg(9)], [0])
    return huggingface_parquet("train-00000-of-00001.parquet", [jpeg(0), None, jpeg(1)], [2, 0, 1])


def test_rows_come_with_class_names_and_original_bytes(file, jpeg):
    rows = list(reader(file).images(0, with_data=True))
    name = file.name
    assert [(row.path, row.caption, row.data, row.problem) for row in rows] == [
        (f"{name}#0", "n03 cone", jpeg(0), None),
        (f"{name}#1", "n01 ball", None, "image_missing"),
        (f"{name}#2", "n02 cube", jpeg(1), None),
    ]


def test_a_listing_has_the_same_rows_without_bytes(file):
    listing = list(reader(file).images(0, with_data=False))
    assert [(row.path, row.caption) for row in listing] == [
        (row.path, row.caption) for row in reader(file).images(0, with_data=True)
    ]
    assert {(row.data, row.problem) for row in listing} == {(None, None)}
    unlabelled = reader(file, label_column=None)
    assert [row.caption for row in unlabelled.images(0, with_data=False)] == [None] * 3
    assert reader(file, files="*.parquet").num_parts() == 2


def test_a_missing_column_is_named(file):
    with pytest.raises(
        ValueError, match=r"source\.label_column: no column 'fine_label' in train.*"
    ):
        list(reader(file, label_column="fine_label").images(0, with_data=False))
    with pytest.raises(ValueError, match="it has image, label"):
        list(reader(file, image_column="img").images(0, with_data=True))


def test_a_cut_file_is_named(file):
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"train-00000.*not readable as parquet; fetch it again"):
        list(reader(file).images(0, with_data=False))


def test_a_label_that_is_not_utf8_names_the_file(file):
    raw = pa.array([b"caf\xe9", b"two", b"three"], pa.binary())
    labels = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    images = pq.read_table(file)["image"]
    pq.write_table(pa.table({"image": images, "label": labels}), file)
    with pytest.raises(ValueError, match=r"train-00000.*parquet: a text is not UTF-8.*repair it"):
        list(reader(file).images(0, with_data=False))
    unlabelled = reader(file, label_column=None).images(0, with_data=True)
    assert len(list(unlabelled)) == 3


def test_a_column_of_numbers_holds_no_images(file):
    with pytest.raises(ValueError, match=r"source\.image_column: 'label' in .* holds int64, not"):
        list(reader(file, image_column="label").images(0, with_data=False))


def test_a_file_with_a_damaged_page_is_named(file):
    spoil_page(file, row_group=0, size=40)
    with pytest.raises(ValueError, match=r"train-00000.*parquet: not readable .*; fetch it again"):
        list(reader(file).images(0, with_data=True))


def test_a_server_that_sends_whole_files_only_is_told_from_a_broken_file(server, file):
    rows = pq.read_table(file)
    noise = pa.array([os.urandom(1 << 20) for _ in range(3)], pa.binary())
    pq.write_table(rows.append_column("noise", noise), server.folder / "train-0.parquet")
    source = reader(file, root=server.url, files="train-0.parquet")
    assert len(list(source.images(0, with_data=False))) == 3
    server.ranges = False
    with pytest.raises(OSError, match=r"source\.root: .* whole files only.*franca data fetch"):
        list(source.images(0, with_data=False))


@pytest.mark.shared
def test_real_rows(shared_data):
    root = shared_data / "tiny_imagenet_50"
    source = reader(root / "x", files="train-*.parquet")
    assert source.num_parts() == 5
    images = source.images(0, with_data=True)
    first = [next(images) for _ in range(300)]
    assert all(image.data.startswith(b"\xff\xd8") for image in first)
    assert {image.caption.split()[0][0] for image in first} == {"n"}
