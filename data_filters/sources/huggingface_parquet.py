"""Parquet files in Hugging Face layout, streamed by the `datasets` library."""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow.parquet as pq

from data_filters.io.files import join, list_files, open_binary
from data_filters.sources.image import SourceImage

LAYOUT: Final = (
    "parquet files in Hugging Face layout: a column of images {bytes, path} and one of labels"
)


class HuggingfaceParquetReader:
    """List and read parquet files; each file is a part, each row an image.

    Args:
        root: Local folder or fsspec URL, `hf://datasets/<owner>/<name>/data` included.
        files: Glob below the root.
        image_column: Column of images.
        label_column: Column that becomes the caption; class numbers become class names.
        key: Parameter to name in errors.
    """

    def __init__(
        self, *, root: str, files: str, image_column: str, label_column: str | None, key: str
    ) -> None:
        self._root, self._key = root, key
        self._image, self._label = image_column, label_column
        self._names = list_files(root, files, key=f"{key}.root", layout=LAYOUT)

    def num_parts(self) -> int:
        """Count the files."""
        return len(self._names)

    def images(self, part: int, *, with_data: bool) -> Iterator[SourceImage]:
        """Yield the rows of a file in order.

        Raises:
            ValueError: A column is missing, or the file is not parquet.
        """
        name = self._names[part]
        self._check(name)
        columns = [self._image] if with_data else []
        columns += [self._label] if self._label else []
        if not columns:
            for row in range(self._num_rows(name)):
                yield SourceImage(f"{name}#{row}", None, None)
            return
        for row, values in enumerate(self._stream(name, columns)):
            caption = values.get("caption")
            path = f"{name}#{row}"
            if not with_data:
                yield SourceImage(path, caption, None)
            elif values["data"] is None:
                yield SourceImage(path, caption, None, problem="image_missing")
            else:
                yield SourceImage(path, caption, values["data"])

    def _stream(self, name: str, columns: list[str]) -> Iterator[dict[str, Any]]:
        # imported here: five seconds that other sources need not pay
        import datasets

        table = datasets.load_dataset(
            "parquet",
            data_files=[join(self._root, name)],
            columns=columns,
            split="train",
            streaming=True,
        )
        label: Any = table.features[self._label] if self._label else None
        if self._image in columns:
            table = table.cast_column(self._image, datasets.Image(decode=False))
        for row in table:
            values: dict[str, Any] = {}
            if self._image in columns:
                values["data"] = (row[self._image] or {}).get("bytes")
            if self._label and row[self._label] is not None:
                named = isinstance(label, datasets.ClassLabel)
                value = row[self._label]
                values["caption"] = label.int2str(value) if named else str(value)
            yield values

    def _num_rows(self, name: str) -> int:
        with open_binary(self._root, name) as file:
            return int(pq.read_metadata(file).num_rows)

    def _check(self, name: str) -> None:
        try:
            with open_binary(self._root, name) as file:
                columns = pq.read_schema(file).names
        except ValueError as error:  # pyarrow.ArrowInvalid
            raise ValueError(
                f"{join(self._root, name)}: not readable as parquet; fetch it again"
            ) from error
        for parameter, column in (("image_column", self._image), ("label_column", self._label)):
            if column is not None and column not in columns:
                raise ValueError(
                    f"{self._key}.{parameter}: no column {column!r} in {name}; "
                    f"it has {', '.join(columns)}"
                )
