"""Any data set of images that the `datasets` library can stream: from the Hub or from a disk."""

import contextlib
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa

from data_filters.io.access import explained
from data_filters.sources.image import SourceImage


class HuggingfaceReader:
    """List and read a data set of the `datasets` library; its shards are the parts.

    Nothing is downloaded beforehand and nothing is cached: rows are streamed.

    Args:
        root: First argument of `load_dataset`.
        name: Configuration, or None.
        split: Split.
        revision: Commit or tag on the Hub, or None.
        data_files: Glob for a builder, or None.
        image_column: Column of images.
        label_column: Column that becomes the caption; class numbers become class names.
        key: Parameter to name in errors.

    Raises:
        PermissionError: The Hub turns us away; says what to accept or to set.
        ValueError: No such data set, configuration or split, or a column is missing.
    """

    def __init__(
        self,
        *,
        root: str,
        name: str | None,
        split: str,
        revision: str | None,
        data_files: str | None,
        image_column: str,
        label_column: str | None,
        key: str,
    ) -> None:
        import datasets  # here: five seconds that other sources need not pay

        self._split, self._image, self._label = split, image_column, label_column
        self._root = root
        with explained(f"hf://datasets/{root}", key=key):
            try:
                self._table: Any = datasets.load_dataset(
                    root, name, split=split, revision=revision, data_files=data_files,
                    streaming=True,
                )  # fmt: skip
            except (ValueError, FileNotFoundError) as error:
                first_line = str(error).splitlines()[0]
                raise ValueError(f"{key}: datasets cannot open {root!r}: {first_line}") from error
        self._check_columns(key)

    def num_parts(self) -> int:
        """Count the shards."""
        return int(self._table.num_shards)

    def images(self, part: int, *, with_data: bool) -> Iterator[SourceImage]:
        """Yield the rows of a shard in order.

        Raises:
            ValueError: The shard cannot be read.
        """
        shard = self._table.shard(num_shards=self.num_parts(), index=part)
        listed = image_rows(shard, image=self._image, label=self._label, with_data=with_data)
        with named_if_unreadable(f"shard {part} of {self._split!r} of {self._root!r}"):
            for row, (caption, data) in enumerate(listed):
                problem = "image_missing" if with_data and data is None else None
                yield SourceImage(f"{self._split}-{part:05d}#{row}", caption, data, problem)

    def _check_columns(self, key: str) -> None:
        if self._table.features is None:
            self._table = self._table._resolve_features()  # noqa: SLF001  no public way to ask
        columns = list(self._table.features)
        for parameter, column in (("image_column", self._image), ("label_column", self._label)):
            if column is not None and column not in columns:
                raise ValueError(
                    f"{key}.{parameter}: no column {column!r}; it has {', '.join(columns)}"
                )


@contextlib.contextmanager
def named_if_unreadable(what: str) -> Iterator[None]:
    """Say which file or shard it is that Arrow or `datasets` cannot read.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what}: a text is not UTF-8 ({error}); repair it, or do without a label_column"
        ) from error
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(
            f"{what}: not readable ({first_line}); fetch it again, or leave it out"
        ) from error


def image_rows(
    table: Any, *, image: str, label: str | None, with_data: bool
) -> Iterator[tuple[str | None, bytes | None]]:
    """Yield (caption, original bytes) of a streamed `datasets` table, without decoding.

    Args:
        table: An `IterableDataset` with features.
        image: Column of images.
        label: Column that becomes the caption, or None.
        with_data: Whether the bytes are wanted; without them they are None.
    """
    import datasets

    named = table.features[label] if label else None
    if with_data:
        table = table.cast_column(image, datasets.Image(decode=False))
    table = table.select_columns([*([image] if with_data else []), *([label] if label else [])])
    for row in table:
        value = row[label] if label else None
        if isinstance(named, datasets.ClassLabel) and value is not None:
            value = named.int2str(value)
        caption = None if value is None else str(value)
        yield caption, _bytes(row[image]) if with_data else None


def _bytes(image: dict[str, Any] | None) -> bytes | None:
    """The encoded image: in the row, or in the file that the row names."""
    if image is None or (image["bytes"] is None and image["path"] is None):
        return None
    if image["bytes"] is not None:
        return bytes(image["bytes"])
    with fsspec.open(image["path"], "rb") as file:
        return bytes(file.read())
