"""Local collections of every kind through one door."""

from data_filters.source_kinds import Folder, Huggingface, HuggingfaceParquet, LocalSource
from data_filters.sources.folder import FolderReader
from data_filters.sources.huggingface import HuggingfaceReader
from data_filters.sources.huggingface_parquet import HuggingfaceParquetReader
from data_filters.sources.image import LocalReader
from data_filters.sources.webdataset import WebdatasetReader


def open_source(source: LocalSource, *, key: str) -> LocalReader:
    """Return the reader of a local source.

    Args:
        source: The section of the parameters.
        key: Its name, for error messages, such as `fetch_metadata.source`.

    Raises:
        FileNotFoundError: Nothing there; the message says where it looked and what it expected.
    """
    if isinstance(source, Folder):
        return FolderReader(root=source.root, class_subfolders=source.class_subfolders, key=key)
    if isinstance(source, HuggingfaceParquet):
        return HuggingfaceParquetReader(
            root=source.root,
            files=source.files,
            image_column=source.image_column,
            label_column=source.label_column,
            key=key,
        )
    if isinstance(source, Huggingface):
        return HuggingfaceReader(
            root=source.root,
            name=source.name,
            split=source.split,
            revision=source.revision,
            data_files=source.data_files,
            image_column=source.image_column,
            label_column=source.label_column,
            key=key,
        )
    return WebdatasetReader(root=source.root, files=source.files, key=key)
