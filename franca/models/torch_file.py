"""A file of torch to what is in it; whatever else the file is, one line says so."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

_STARTS = (b"PK\x03\x04", b"\x80")  # a zip archive, as torch writes since 1.6; a pickle before
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
_TAR, _TAR_AT = b"ustar", 257
_FOREIGN_CLASS = re.compile(r"GLOBAL (\S+) was not an allowed global")


def read_torch(path: Path) -> Any:
    """Read a file of `torch.save` that holds tensors and plain containers, on the CPU.

    Raises:
        ValueError: if it is another kind of file, damaged, or holds what could run code.
    """
    with path.open("rb") as stream:
        start = stream.read(512)
    if start.startswith(_ARCHIVES) or start[_TAR_AT:].startswith(_TAR):
        raise _unreadable(path, "an archive", "unpack it and give the file inside")
    if not start.startswith(_STARTS):
        found = f"starts with {start[:24].decode('latin-1')!r}" if start else "empty file"
        raise _unreadable(path, found, "delete it and download the weights themselves")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = _FOREIGN_CLASS.search(str(error))
        if foreign is None:
            raise _damaged(path, error) from error
        raise _unreadable(
            path,
            f"holds objects of {foreign[1]}, and reading them could run code",
            "where you trust it, save its tensors alone, as a dict",
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    sentence = re.split(r"\.\s|\n", f"{error}.\n", maxsplit=1)[0]
    reason = f"damaged or incomplete, {type(error).__name__}: {sentence}".rstrip(": .")
    return _unreadable(path, reason, "delete it and download it again")


def _unreadable(path: Path, reason: str, remedy: str) -> ValueError:
    return ValueError(f"{path}: not a readable file of weights ({reason}): {remedy}")
