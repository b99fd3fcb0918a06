"""Copies of published files: they resume, are verified, and never replace what is there."""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import fsspec
from tqdm import tqdm

from data_filters.catalogue import Entry
from data_filters.io.access import explained, first_cause, http_status
from data_filters.io.files import join, list_files

_CHUNK: Final = 1 << 20
_BLOCK: Final = 8 << 20
"""Bytes of a range request."""
_REFUSED: Final = frozenset({401, 403})
_GONE: Final = frozenset({404, 410})
"""Answers that another attempt would not change."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file to copy.

    Attributes:
        url: Where it is.
        name: Where it goes, below the folder of the copy.
        bytes: Its size; None where nobody says.
        hash: `md5:…` or `sha256:…`; None where nobody says.
        version: What else tells one state of the file from another: etag, date.
    """

    url: str
    name: str
    bytes: int | None
    hash: str | None
    version: str = ""


def list_remote(entry: Entry, *, key: str) -> list[RemoteFile]:
    """List what an entry of the catalogue publishes, with sizes and hashes where they are known.

    Raises:
        FileNotFoundError: Nothing is there.
        PermissionError: The publisher turns us away; says what to accept or to set.
        ValueError: The entry has no public address.
    """
    if entry.archives:
        return [
            RemoteFile(
                url=archive.url,
                name=archive.url.rpartition("/")[2],
                bytes=archive.bytes,
                hash=archive.hash,
            )
            for archive in entry.archives
        ]
    if entry.public_root is None:
        raise ValueError(f"{key}: its publisher offers nothing to fetch. {entry.access}")
    layout: Any = entry.layout_at(None)
    return list_folder(layout.root, pattern=layout.files, key=key, holds=entry.summary)


def list_folder(root: str, *, pattern: str = "**", key: str, holds: str) -> list[RemoteFile]:
    """List the files of a folder behind any fsspec URL.

    Args:
        root: The folder.
        pattern: Glob relative to it.
        key: Name of the parameter, for error messages.
        holds: What the folder is expected to hold, for error messages.

    Raises:
        FileNotFoundError: Nothing is there.
        PermissionError: The store turns us away; says what to accept or to set.
    """
    with explained(root, key=key):
        names = list_files(root, pattern, key=key, layout=holds)
        return [describe(root, name) for name in names]


def describe(root: str, name: str) -> RemoteFile:
    """Ask a store for the size of a file, and for its hash (the Hub tells SHA-256)."""
    url = join(root, name)
    system, path = fsspec.core.url_to_fs(url)
    info: dict[str, Any] = system.info(path)
    digest = (info.get("lfs") or {}).get("sha256")
    version = info.get("ETag") or info.get("blob_id") or info.get("mtime") or info.get("created")
    return RemoteFile(
        url=url,
        name=name,
        bytes=info.get("size"),
        hash=f"sha256:{digest}" if digest else None,
        version=str(version or ""),
    )


def mirror(files: Sequence[RemoteFile], folder: Path, *, key: str) -> int:
    """Copy files into a folder; return how many were not there yet.

    Raises:
        ConnectionError: A copy broke off; call again, and it continues there.
        FileNotFoundError: The publisher has a file no more.
        OSError: A copy cannot be written.
        PermissionError: The publisher turns us away.
        ValueError: A file, there or copied, has another size or hash than it must have.
    """
    todo = [file for file in files if not _is_there(file, folder / file.name)]
    for number, file in enumerate(todo, 1):
        with explained(file.url, key=key):
            _copy(file, folder / file.name, label=f"{number}/{len(todo)} {Path(file.name).name}")
    return len(todo)


def _is_there(file: RemoteFile, target: Path) -> bool:
    """Whether the target is there and right; what is wrong is named and left alone."""
    if not target.exists():
        return False
    wrong = _objection(file, target)
    if wrong:
        raise ValueError(f"{target} is there, but {wrong}: move it away, and it is fetched anew")
    return True


def _copy(file: RemoteFile, target: Path, *, label: str) -> None:
    """Continue the partial copy of exactly this state of the file, check it, and publish it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    state = json.dumps([file.url, file.bytes, file.hash, file.version])
    draft = target.with_name(
        f".{target.name}.{hashlib.sha256(state.encode()).hexdigest()[:12]}.partial"
    )
    while not _is_complete(file, draft):
        have = _size(draft)
        fault = _append(file, draft, label=label)
        if fault is None and file.bytes is None:
            break
        if _size(draft) == have:
            size = "an unknown number of" if file.bytes is None else f"{file.bytes:,}"
            why = f" ({fault})" if fault else ""
            raise ConnectionError(
                f"{file.url}: broke off after {have:,} of {size} bytes{why}; run again, and it "
                "continues there"
            )
    wrong = _objection(file, draft)
    if wrong:
        rejected = draft.with_suffix(".rejected")
        draft.replace(rejected)
        raise ValueError(f"{file.url}: {wrong}; what came is kept as {rejected}")
    draft.rename(target)


def _is_complete(file: RemoteFile, draft: Path) -> bool:
    return file.bytes is not None and _size(draft) >= file.bytes


def _size(draft: Path) -> int:
    return draft.stat().st_size if draft.exists() else 0


def _append(file: RemoteFile, draft: Path, *, label: str) -> BaseException | None:
    """Read on from where the partial copy ends; return what broke it off, if anything did.

    Raises:
        FileNotFoundError: The publisher has it no more.
        OSError: The copy cannot be written: the disk is full, say.
    """
    with draft.open("ab") as output:
        have = output.tell()
        bar = tqdm(
            total=file.bytes, initial=have, desc=label, unit="B", unit_scale=True, file=sys.stderr
        )
        chunks = _chunks(file.url, have)
        with bar:
            while True:
                try:
                    chunk = next(chunks, b"")
                except Exception as error:  # every store's client has errors of its own
                    if http_status(error) in _REFUSED:
                        raise
                    first = first_cause(error)
                    if isinstance(first, FileNotFoundError) or http_status(error) in _GONE:
                        told = f"{file.url}: its publisher has it no more"
                        raise FileNotFoundError(told) from error
                    return first
                if not chunk:
                    return None
                output.write(chunk)
                bar.update(len(chunk))


def _chunks(url: str, start: int) -> Iterator[bytes]:
    """Read a file from an offset: by ranges, or from the beginning where a server has none."""
    system, path = fsspec.core.url_to_fs(url)
    streamed = {"block_size": 0} if url.startswith(("http://", "https://")) else {}
    if start:
        try:
            with system.open(path, "rb", block_size=_BLOCK) as source:
                source.seek(start)
                yield from iter(partial(source.read, _CHUNK), b"")
            return
        except ValueError:  # fsspec's word for a server that ignores ranges
            if not streamed:
                raise
    with system.open(path, "rb", **streamed) as source:
        while start and (chunk := source.read(min(start, _CHUNK))):
            start -= len(chunk)
        yield from iter(partial(source.read, _CHUNK), b"")


def _objection(file: RemoteFile, path: Path) -> str | None:
    """What is wrong with a copy, in words; None if nothing is."""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"it has {size:,} bytes where {file.bytes:,} are published"
    if file.hash is not None:
        algorithm, _, expected = file.hash.partition(":")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, algorithm).hexdigest()
        if found != expected:
            return f"its {algorithm} is {found}, not {expected}"
    return None
