"""Files: atomic writes, JSON, and listing of local or remote folders through fsspec."""

import contextlib
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import fsspec
import numpy as np
import numpy.typing as npt

from data_filters.io.access import explained


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; it becomes `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a .npy file atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, in the order given, ending in a newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def check_digest(path: Path, sha256: str, *, key: str) -> Path:
    """Return `path` if it is the very file that the parameters name.

    Args:
        path: A file that the user brings.
        sha256: Its digest.
        key: Name of the parameter, for the error message.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is another file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{key}: no file {str(path)!r}; set it to where your copy is")
    found = file_digest(path)
    if found != sha256:
        raise ValueError(
            f"{key}: {str(path)!r} has the digest {found}, not {sha256}: restore the file, or set "
            "sha256 to what it is"
        )
    return path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Publish a finished file without a second copy of its bytes where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def is_remote(root: str) -> bool:
    """Whether a root names another file system than the local one."""
    return "://" in root and not root.startswith("file://")


def file_system(root: str) -> Any:
    """Return a new instance of the fsspec file system of a root."""
    return fsspec.core.url_to_fs(root, skip_instance_cache=True)[0]


def join(root: str, name: str) -> str:
    """Append a relative name to a root, which may be any fsspec URL."""
    return f"{root.rstrip('/')}/{name}"


def open_binary(root: str, name: str) -> IO[bytes]:
    """Open `name` below `root` for reading."""
    file: IO[bytes] = fsspec.open(join(root, name), "rb").open()
    return file


def digest_of_sizes(root: str) -> str:
    """Return one hash of the names and sizes of all files below `root`: other files, another hash.

    What lies outside the pipeline has no receipt; this notices that it is no longer what was read.
    """
    system, folder = fsspec.core.url_to_fs(root)
    digest = hashlib.sha256()
    for path, info in sorted(system.find(folder, detail=True).items()):
        digest.update(f"{path.removeprefix(folder)}\0{info['size']}\n".encode())
    return digest.hexdigest()


def list_files(root: str, pattern: str, *, key: str, layout: str) -> list[str]:
    """List the files below `root` that match a glob pattern, sorted, relative to the root.

    Args:
        root: A folder: a local path or any fsspec URL.
        pattern: Glob relative to the root, such as `part-*.parquet` or `**/*`.
        key: Name of the parameter, for the error message.
        layout: What the folder is expected to hold, for the error message.

    Raises:
        FileNotFoundError: No such folder, or nothing in it matches.
        PermissionError: A remote store turns us away; says what to accept or to set.
        ValueError: The root's own name would be read as a pattern, and other folders be listed.
    """
    if glob.has_magic(root):
        raise ValueError(
            f"{key}: {root!r} has *, ? or [ in its name, which stand for other names: rename the "
            "folder, or link to it"
        )
    with explained(root, key=key):
        names = _find(root, pattern, key=key, layout=layout)
    if not names:
        raise FileNotFoundError(
            f"{key}: nothing in {root!r} matches {pattern!r}; expected {layout}"
        )
    return names


def _find(root: str, pattern: str, *, key: str, layout: str) -> list[str]:
    system, folder = fsspec.core.url_to_fs(root)
    folder = folder.rstrip("/")
    found: dict[str, dict[str, Any]] = system.glob(f"{folder}/{pattern}", detail=True)
    if not found and not system.isdir(folder):
        try:
            system.info(folder)  # isdir and glob take every error for an absence
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{key}: no folder {root!r}; expected {layout}: correct {key}"
            ) from error
    return sorted(path[len(folder) + 1 :] for path, info in found.items() if info["type"] == "file")
