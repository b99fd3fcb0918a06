"""A raw shard: a tar of images and a table that says what became of every row."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from data_filters.base import KEEP, Verdict, drop
from data_filters.io.parquet import write_rows
from data_filters.io.pixels import EXTENSIONS, sniff
from data_filters.io.tar import write_tar
from data_filters.records import RAW_IMAGE

FILTER: Final = "download"
"""Name under which a failed download is on the books."""

MISMATCH: Final = "md5_mismatch"
"""Reason of bytes that are not those that were announced."""

_ACCEPTED: Final = frozenset(EXTENSIONS.values())


class Fetched(NamedTuple):
    """What became of one row: bytes, or a verdict that drops it.

    Attributes:
        row_id: Of the row.
        data: The image, possibly resized.
        verdict: Whether it is kept.
        original_md5: Of the bytes as they came; None where `data` is those bytes.
    """

    row_id: str
    data: bytes
    verdict: Verdict = KEEP
    original_md5: str | None = None


def accept(data: bytes) -> Verdict:
    """Keep bytes that begin like an image of a format that can be trained on."""
    if not data:
        return drop("empty")
    kind = sniff(data)
    if kind is None:
        return drop("not_an_image")
    return KEEP if kind in _ACCEPTED else drop("format_not_supported", kind)


def write_raw_shard(folder: Path, stem: str, *, shard: int, rows: Iterable[Fetched]) -> None:
    """Write `<stem>.tar` and, last, `<stem>.parquet`: where the table is, the shard is complete.

    Both are sorted by row id, so that the order of arrival leaves no trace.
    """
    ordered = sorted(rows, key=lambda row: row.row_id)
    judged = [
        row._replace(verdict=accept(row.data)) if row.verdict.kept else row for row in ordered
    ]
    names = {row.row_id: f"{row.row_id}.{sniff(row.data)}" for row in judged if row.verdict.kept}
    members = write_tar(
        folder / f"{stem}.tar",
        ((names[row.row_id], row.data) for row in judged if row.verdict.kept),
    )
    places = {member.name: member for member in members}
    table = []
    for row in judged:
        record: dict[str, object] = {
            "row_id": row.row_id,
            "kept": row.verdict.kept,
            "filter": None if row.verdict.kept else FILTER,
            "reason": row.verdict.reason,
            "detail": row.verdict.detail,
        }
        if row.verdict.kept:
            member = places[names[row.row_id]]
            record |= {
                "shard": shard,
                "extension": member.name.rpartition(".")[2],
                "offset": member.offset,
                "size": member.size,
                "sha256": hashlib.sha256(row.data).hexdigest(),
                "original_md5": row.original_md5 or _md5(row.data),
            }
        table.append(record)
    write_rows(folder / f"{stem}.parquet", RAW_IMAGE, table)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
