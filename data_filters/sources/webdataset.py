"""Tar files in webdataset layout: files that share a name up to the first dot are one sample."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from data_filters.io.files import join, list_files, open_binary
from data_filters.io.tar import TruncatedTarError, read_tar
from data_filters.sources.image import SourceImage

LAYOUT: Final = "tar files in webdataset layout: <key>.jpg, optionally with <key>.txt or <key>.json"
IMAGE_EXTENSIONS: Final = frozenset(
    {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "img"}
)

_LOG = logging.getLogger(__name__)


class WebdatasetReader:
    """List and read tars; each tar is a part, each sample an image.

    A tar that was cut gives the samples before the cut and one more row with the problem
    `truncated_tar`, so that the loss is on the books. Files of one key lie together, as webdataset
    asks: those of a key that has been there before are one more row, `key_repeated`.

    Args:
        root: Local folder or fsspec URL.
        files: Glob below the root.
        key: Parameter to name in errors.
    """

    def __init__(self, *, root: str, files: str, key: str) -> None:
        self._root = root
        self._names = list_files(root, files, key=f"{key}.root", layout=LAYOUT)

    def num_parts(self) -> int:
        """Count the tars."""
        return len(self._names)

    def images(self, part: int, *, with_data: bool) -> Iterator[SourceImage]:
        """Yield the samples of a tar in order.

        Raises:
            ValueError: Nothing in the tar can be read.
        """
        name = self._names[part]
        sample: dict[str, bytes] = {}
        current: str | None = None
        seen: Counter[str] = Counter()
        with open_binary(self._root, name) as file:
            try:
                for member, data in read_tar(file, name=join(self._root, name)):
                    stem, extension = _split(member.name)
                    if current is not None and (stem != current or extension in sample):
                        yield _image(name, current, sample, seen, with_data=with_data)
                        sample = {}
                    current = stem
                    sample[extension] = data
            except TruncatedTarError as error:
                if current is None:
                    raise
                _LOG.warning("%s; the samples before it are used", error)
                if error.member is None or _split(error.member)[0] != current:
                    yield _image(name, current, sample, seen, with_data=with_data)
                cut = _split(error.member)[0] if error.member else "(end)"
                yield SourceImage(_path(name, cut, seen), None, None, problem="truncated_tar")
                return
        if current is not None:
            yield _image(name, current, sample, seen, with_data=with_data)
        repeated = seen.total() - len(seen)
        if repeated:
            _LOG.warning(
                "%s: %d times the files of one key do not lie together, or one is there twice; "
                "pack it again with `tar --sort=name`, or these files are not used",
                join(self._root, name),
                repeated,
            )


def _split(member: str) -> tuple[str, str]:
    """Split at the first dot of the last path component, as webdataset does."""
    folder, slash, base = member.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def _image(
    name: str, key: str, sample: dict[str, bytes], seen: Counter[str], *, with_data: bool
) -> SourceImage:
    """Make a row of a sample; of a key that has been there before, its files are not used."""
    path, caption = _path(name, key, seen), _caption(sample)
    if seen[key] > 1:
        return SourceImage(path, None, None, problem="key_repeated")
    extension = next((each for each in sample if each in IMAGE_EXTENSIONS), None)
    if extension is None:
        return SourceImage(path, caption, None, problem="image_missing")
    return SourceImage(path, caption, sample[extension] if with_data else None)


def _path(name: str, key: str, seen: Counter[str]) -> str:
    """Name a row, and count its key, for the name to be unique: keys end at the first dot."""
    seen[key] += 1
    return f"{name}#{key}" if seen[key] == 1 else f"{name}#{key}.{seen[key]}"


def _caption(sample: dict[str, bytes]) -> str | None:
    if "txt" in sample:
        return sample["txt"].decode("utf-8", errors="replace").strip() or None
    try:
        record: Any = json.loads(sample.get("json", b"null"))
    except ValueError:
        return None  # a caption is optional, and so is its file's sanity
    caption = record.get("caption") if isinstance(record, dict) else None
    return caption if isinstance(caption, str) else None
