"""Tar files: written so that equal content means equal bytes, read so that a cut is noticed."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, Self

from data_filters.io.files import atomic_path

_BLOCK: Final = tarfile.BLOCKSIZE
_FETCH_AGAIN: Final = "fetch this file again"
_MAKE_AGAIN: Final = (
    "remove it and the .parquet beside it, and run download_images, which wrote it, again"
)


class Member(NamedTuple):
    """A file in a tar, and where its bytes lie."""

    name: str
    offset: int
    size: int


class TruncatedTarError(ValueError):
    """The tar ends, or stops making sense, before its last member does.

    Attributes:
        member: Name of the member that was cut, if its header was still readable.
    """

    def __init__(self, name: str, member: str | None, *, remedy: str = _FETCH_AGAIN) -> None:
        where = f"inside member {member!r}" if member else "between members"
        super().__init__(f"{name}: truncated or corrupt {where}; {remedy}")
        self.member = member


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> list[Member]:
    """Write a USTAR file atomically: fixed owner, mode and time, members in ascending name order.

    Args:
        path: Where to.
        members: (name, bytes), sorted by name without repeats; ASCII names, up to 100 characters.

    Returns:
        The members with the offsets of their bytes.
    """
    written: list[Member] = []
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for name, data in members:
            assert not written or written[-1].name < name, (written[-1].name, name)
            file.write(_header(name, len(data)))
            written.append(Member(name, file.tell(), len(data)))
            file.write(data)
            file.write(bytes(-len(data) % _BLOCK))
        file.write(bytes(2 * _BLOCK))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
    return written


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must be whole: tarfile takes a cut or spoilt one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # unknown to typeshed
            raise  # the zero block that ends a whole archive
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def read_tar(file: IO[bytes], *, name: str) -> Iterator[tuple[Member, bytes]]:
    """Yield the regular files of a tar in order, reading front to back.

    Args:
        file: Open for reading; compressed tars are recognised.
        name: What to call it in an error.

    Raises:
        TruncatedTarError: After the last member that could be read whole.
    """
    current: str | None = None
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_StrictTarInfo) as archive:
            for info in archive:
                if not info.isfile():
                    continue
                current = info.name
                stream = archive.extractfile(info)
                assert stream is not None, info.name
                data = stream.read()
                if len(data) != info.size:
                    raise TruncatedTarError(name, current)
                yield Member(info.name, info.offset_data, info.size), data
                current = None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TruncatedTarError(name, current) from error


def read_at(path: Path, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes at each (offset, size) of a tar that `download_images` wrote.

    Raises:
        TruncatedTarError: The file ends before; says that the stage must run again.
    """
    with path.open("rb") as file:
        for offset, size in places:
            file.seek(offset)
            data = file.read(size)
            if len(data) != size:
                raise TruncatedTarError(str(path), None, remedy=_MAKE_AGAIN)
            yield data
