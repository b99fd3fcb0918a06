"""Local collections through one door."""

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
