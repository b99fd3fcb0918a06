"""The kinds of sources: how images or their URLs can lie on a disk or behind an fsspec URL."""

from typing import Literal

from pydantic import Field

from data_filters.section import Section

Column = Literal[
    "url", "caption", "language", "width", "height", "similarity", "punsafe", "pwatermark",
    "status", "md5",
]  # fmt: skip
"""Our columns of a table of URLs; `records.METADATA` says what they hold."""


class Embedded(Section):
    """The embedded world of the stage `scenes`, downloaded from a web server on the loopback."""

    kind: Literal["embedded"]


class UrlTable(Section):
    """Parquet tables of URLs: ReLAION, LAION, DataComp, COYO or your own."""

    kind: Literal["url_table"]
    root: str = Field(description="Folder of parquet parts: a local path or any fsspec URL.")
    files: str = Field(description="Glob of the parts, relative to root.")
    columns: dict[Column, str] | None = Field(
        default=None,
        description="Which of the table's columns is which of ours; null looks for the names "
        "that ReLAION, LAION, DataComp and COYO use.",
    )


class Folder(Section):
    """Image files in a folder, searched at every depth."""

    kind: Literal["folder"]
    root: str = Field(description="The folder: a local path or any fsspec URL.")
    class_subfolders: bool = Field(
        description="Whether an image's parent folder names its class, which becomes its caption."
    )


class HuggingfaceParquet(Section):
    """Parquet files in Hugging Face layout, read by the `datasets` library."""

    kind: Literal["huggingface_parquet"]
    root: str = Field(
        description="Folder of parquet files: a local path, or `hf://datasets/<owner>/<name>/...`."
    )
    files: str = Field(
        description="Glob of the files, relative to root, such as `train-*.parquet`."
    )
    image_column: str = Field(description="Column of images ({bytes, path}).")
    label_column: str | None = Field(
        description="Column of class labels or text, which becomes the caption; null for none."
    )


class Huggingface(Section):
    """Any data set of images that `datasets.load_dataset` can stream."""

    kind: Literal["huggingface"]
    root: str = Field(
        description="First argument of load_dataset: `<owner>/<name>` on the Hub, a local folder, "
        "or one of its builders such as `imagefolder` or `webdataset`."
    )
    name: str | None = Field(default=None, description="Its configuration; null for the default.")
    split: str = Field(description="Its split, such as `train`.")
    revision: str | None = Field(
        default=None, description="Commit or tag on the Hub: without one, the source may change."
    )
    data_files: str | None = Field(default=None, description="Glob of files, for a builder.")
    image_column: str = Field(description="Column of images.")
    label_column: str | None = Field(
        description="Column of class labels or text, which becomes the caption; null for none."
    )


class Webdataset(Section):
    """Tar files in webdataset layout: `<key>.jpg`, and optionally `<key>.txt` or `<key>.json`."""

    kind: Literal["webdataset"]
    root: str = Field(description="Folder of tar files: a local path or any fsspec URL.")
    files: str = Field(description="Glob of the tars, relative to root, such as `*.tar`.")


LocalSource = Folder | HuggingfaceParquet | Huggingface | Webdataset
"""Sources that hold images; the others hold URLs."""

Layout = Embedded | UrlTable | LocalSource
