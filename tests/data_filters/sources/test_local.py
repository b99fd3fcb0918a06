"""Local collections through one door."""

import shutil

import fsspec
import pytest

from data_filters.io.tar import write_tar
from data_filters.source_kinds import Folder, HuggingfaceParquet, Webdataset
from data_filters.sources.folder import FolderReader
from data_filters.sources.huggingface_parquet import HuggingfaceParquetReader
from data_filters.sources.local import open_source
from data_filters.sources.webdataset import WebdatasetReader


def test_each_kind_has_its_reader(tmp_path, huggingface_parquet, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    write_tar(tmp_path / "a.tar", [])
    file = huggingface_parquet("train.parquet", [jpeg(0)], [0])
    folder = Folder(kind="folder", root=str(tmp_path), class_subfolders=False)
    tars = Webdataset(kind="webdataset", root=str(tmp_path), files="*.tar")
    parquet = HuggingfaceParquet(
        kind="huggingface_parquet",
        root=str(file.parent),
        files="*.parquet",
        image_column="image",
        label_column=None,
    )
    assert isinstance(open_source(folder, key="k"), FolderReader)
    assert isinstance(open_source(tars, key="k"), WebdatasetReader)
    assert isinstance(open_source(parquet, key="k"), HuggingfaceParquetReader)


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_a_missing_root_is_told_by_its_key(tmp_path, kind):
    missing = str(tmp_path / "nowhere")
    source = (
        Folder(kind="folder", root=missing, class_subfolders=False)
        if kind == "folder"
        else Webdataset(kind="webdataset", root=missing, files="*.tar")
    )
    with pytest.raises(FileNotFoundError, match=r"fetch_metadata\.source\.root: no folder"):
        open_source(source, key="fetch_metadata.source")


def everything(source):
    reader = open_source(source, key="k")
    return [
        (image.path, image.caption, image.data)
        for part in range(reader.num_parts())
        for image in reader.images(part, with_data=True)
    ]


def test_all_kinds_read_behind_fsspec_what_they_read_on_a_disk(
    tmp_path, huggingface_parquet, jpeg, server
):
    (tmp_path / "images/cat").mkdir(parents=True)
    (tmp_path / "images/cat/a.jpg").write_bytes(jpeg(0))
    write_tar(tmp_path / "images/a.tar", [("1.jpg", jpeg(1)), ("1.txt", b"text")])
    parquet = huggingface_parquet("train.parquet", [jpeg(2)], [0]).read_bytes()
    (tmp_path / "images/train.parquet").write_bytes(parquet)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "images"), "/images", recursive=True)
    shutil.copytree(tmp_path / "images", server.folder, dirs_exist_ok=True)
    here, there = str(tmp_path / "images"), "memory://images"
    columns = {"image_column": "image", "label_column": "label"}
    sources = [
        Folder(kind="folder", root=here, class_subfolders=True),
        Webdataset(kind="webdataset", root=here, files="a.tar"),
        HuggingfaceParquet(kind="huggingface_parquet", root=here, files="train.parquet", **columns),
    ]
    for source in sources:
        expected = everything(source)
        assert len(expected) == 1
        elsewhere = [there]
        # a web server lists nothing, so its files have names
        elsewhere += [] if source.kind == "folder" else [server.url]
        for root in elsewhere:
            assert everything(source.model_copy(update={"root": root})) == expected, root
    memory.rm("/images", recursive=True)
