"""Parquet files in Hugging Face layout, streamed by the `datasets` library."""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.io.access import explained
from data_filters.io.files import join, list_files, open_binary
from data_filters.sources.huggingface import image_rows, named_if_unreadable
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
            ValueError: A column is missing or holds no images, or the file cannot be read.
        """
        name = self._names[part]
        self._check(name)
        columns = [self._image] if with_data else []
        columns += [self._label] if self._label else []
        if not columns:
            for row in range(self._num_rows(name)):
                yield SourceImage(f"{name}#{row}", None, None)
            return
        rows = image_rows(
            self._stream(name, columns), image=self._image, label=self._label, with_data=with_data
        )
        with named_if_unreadable(join(self._root, name)):
            for row, (caption, data) in enumerate(rows):
                problem = "image_missing" if with_data and data is None else None
                yield SourceImage(f"{name}#{row}", caption, data, problem)

    def _stream(self, name: str, columns: list[str]) -> Any:
        import datasets  # here: five seconds that other sources need not pay

        return datasets.load_dataset(
            "parquet",
            data_files=[join(self._root, name)],
            columns=columns,
            split="train",
            streaming=True,
        )

    def _num_rows(self, name: str) -> int:
        with open_binary(self._root, name) as file:
            return int(pq.read_metadata(file).num_rows)

    def _check(self, name: str) -> None:
        try:
            where = explained(self._root, key=f"{self._key}.root")
            with where, open_binary(self._root, name) as file:
                schema = pq.read_schema(file)
        except ValueError as error:  # pyarrow.ArrowInvalid
            raise ValueError(
                f"{join(self._root, name)}: not readable as parquet; fetch it again"
            ) from error
        for parameter, column in (("image_column", self._image), ("label_column", self._label)):
            if column is not None and column not in schema.names:
                raise ValueError(
                    f"{self._key}.{parameter}: no column {column!r} in {name}; "
                    f"it has {', '.join(schema.names)}"
                )
        kind = schema.field(self._image).type
        if pa.types.is_primitive(kind):
            raise ValueError(
                f"{self._key}.image_column: {self._image!r} in {name} holds {kind}, not images; "
                f"it has {', '.join(schema.names)}"
            )
