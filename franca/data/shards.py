"""Read packed shards: plain webdataset tars, any image in any order through the index beside them.

    root/
      index.parquet      key, shard, offset, size, width, height, sha256; sorted by (shard, offset);
                         set as well, where several data sets are packed
      shard-000000.tar   <key>.jpg and <key>.json, uncompressed
      ...

Every byte that is handed out was checked against the index's sha256.
"""

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import UInt8

from franca.data.decode import UndecodableImageError, decode_rgb

INDEX_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "shard": pa.int32(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "sha256": pa.string(),
    }
)
_BLOCK = 512  # tar pads members to blocks and ends with two empty ones
_MAX_OPEN_FILES = 64
_REMEDY = "run `franca pack_shards` (or pack_highres) again, or `franca pull`"


class DamagedShardError(ValueError):
    """A file of the data set is not what its index says."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes of one image lie.

    Attributes:
        key: name of the sample, unique in its data set.
        path: the file that holds it.
        offset: first byte in that file.
        size: number of bytes; None for the rest of the file.
        sha256: hash of the bytes in hexadecimal; None where none is on record.
    """

    key: str
    path: Path
    offset: int = 0
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded image, its name and the file it came from."""

    key: str
    data: bytes
    path: Path

    def decode(self) -> UInt8[np.ndarray, "height width 3"]:
        """Decode to RGB.

        Raises:
            UndecodableImageError: naming the file, the key and the reason.
        """
        try:
            return decode_rgb(self.data)
        except UndecodableImageError as error:
            raise UndecodableImageError(f"{self.path}: {self.key}: {error}") from error


class Reader:
    """Reads the bytes at any location and checks them; recently used files stay open."""

    def __init__(self) -> None:
        self._descriptors: OrderedDict[Path, int] = OrderedDict()

    def __reduce__(self) -> tuple[type["Reader"], tuple[()]]:
        return Reader, ()  # open files do not travel to another process

    def read(self, location: Location) -> Sample:
        """Read one encoded image.

        Raises:
            DamagedShardError: the bytes are missing or not those on record.
        """
        descriptor = self._descriptor(location.path)
        size = location.size
        if size is None:
            size = os.fstat(descriptor).st_size - location.offset
        data = os.pread(descriptor, size, location.offset)
        if len(data) != size:
            raise DamagedShardError(
                f"{location.path}: {location.key} ends after {len(data)} of {size} bytes; {_REMEDY}"
            )
        if location.sha256 is not None and hashlib.sha256(data).hexdigest() != location.sha256:
            raise DamagedShardError(
                f"{location.path}: the bytes of {location.key} do not have the sha256 of "
                f"index.parquet; {_REMEDY}"
            )
        return Sample(key=location.key, data=data, path=location.path)

    def _descriptor(self, path: Path) -> int:
        if path in self._descriptors:
            self._descriptors.move_to_end(path)
            return self._descriptors[path]
        if len(self._descriptors) == _MAX_OPEN_FILES:
            os.close(self._descriptors.popitem(last=False)[1])
        try:
            self._descriptors[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DamagedShardError(f"{path}: cannot be read ({error.strerror})") from error
        return self._descriptors[path]


class ShardDataset:
    """The images of one folder of shards, by number.

    The index stays in Arrow's memory, about 120 bytes an image. Only the process that decides what
    is read needs it: a `Location` is enough for a worker.

    Args:
        root: the folder.
        image_set: read the images of this set only; None: all.

    Raises:
        FileNotFoundError: no such folder, no index, or a shard is missing.
        DamagedShardError: an empty index, an empty or truncated shard, a shard the index lacks.
        ValueError: no image of that set.
    """

    def __init__(self, root: Path, *, image_set: str | None = None) -> None:
        self.root = root
        self.index = _read_index(root)
        self._shards = _check_shards(root, self.index)
        if image_set is not None:
            self.index = self.index.filter(_is_of(root, image_set)).combine_chunks()
        self._reader = Reader()

    def __len__(self) -> int:
        return int(self.index.num_rows)

    def locate(self, sample: int) -> Location:
        """Return where image number `sample` lies."""
        return Location(
            key=self.index["key"][sample].as_py(),
            path=self._shards[self.index["shard"][sample].as_py()],
            offset=self.index["offset"][sample].as_py(),
            size=self.index["size"][sample].as_py(),
            sha256=self.index["sha256"][sample].as_py(),
        )

    def read(self, sample: int) -> Sample:
        """Read the encoded bytes of image number `sample`.

        Raises:
            DamagedShardError: the bytes are missing or not those that were packed.
        """
        return self._reader.read(self.locate(sample))


def _is_of(root: Path, image_set: str) -> pa.ChunkedArray:
    """Mark the rows of the index that belong to a set."""
    sets = pq.read_table(root / "index.parquet", columns=["set"])["set"]
    mask = pc.equal(sets, image_set)
    if not pc.any(mask).as_py():
        known = ", ".join(sorted(pc.unique(sets).to_pylist()))
        raise ValueError(f"{root}: no images of the set {image_set!r}; it holds {known}")
    return mask


def _read_index(root: Path) -> pa.Table:
    path = root / "index.parquet"
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of shards; {_REMEDY}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no index, so this is no folder of shards; {_REMEDY}")
    try:
        index = pq.read_table(path, columns=INDEX_SCHEMA.names).cast(INDEX_SCHEMA)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise DamagedShardError(f"{path}: not a shard index ({_line(error)}); {_REMEDY}") from error
    if index.num_rows == 0:
        raise DamagedShardError(f"{path}: holds no images; {_REMEDY}")
    return index.combine_chunks()


def _check_shards(root: Path, index: pa.Table) -> dict[int, Path]:
    """Return the path of each shard once its size agrees with the index."""
    ends = pc.add(index["offset"], index["size"])
    last = pa.table({"shard": index["shard"], "end": ends}).group_by("shard")
    needed = last.aggregate([("end", "max")]).to_pydict()
    shards = {shard: root / f"shard-{shard:06d}.tar" for shard in needed["shard"]}
    for shard, end in zip(needed["shard"], needed["end_max"], strict=True):
        path = shards[shard]
        if not path.is_file():
            raise FileNotFoundError(f"{path}: is in the index but not on disk; {_REMEDY}")
        size = path.stat().st_size
        whole = -(-end // _BLOCK) * _BLOCK + 2 * _BLOCK
        if size < whole:
            state = "is empty" if size == 0 else f"is truncated ({size} of >= {whole} bytes)"
            raise DamagedShardError(f"{path}: {state}; {_REMEDY}")
    strangers = sorted(set(root.glob("shard-*.tar")) - set(shards.values()))
    if strangers:
        raise DamagedShardError(f"{strangers[0]}: is on disk but not in the index; {_REMEDY}")
    return shards


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
