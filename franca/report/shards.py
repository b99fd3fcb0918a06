"""What the data half kept and dropped, seen: images by reason, and rows that never had one.

Only what is shown is read, so that a folder of any size costs little.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from franca.report.funnel import Step

_WITH_PIXELS: Final = ("filter_images", "deduplicate")
_LEDGER_COLUMNS: Final = ["verdict", "stage", "filter", "reason", "row_id", "url", "detail"]


class Reason(NamedTuple):
    """Why an image was dropped."""

    stage: str
    filter: str
    reason: str


class DroppedRow(NamedTuple):
    """A row of the ledger that was dropped."""

    row_id: str
    url: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """One image file as it lies in a shard; `note` is its caption, or a word about it."""

    data: bytes
    note: str


def read_kept(folder: Path, *, count: int) -> list[StoredImage]:
    """Read `count` images evenly spread over the shards of a pack_shards folder.

    Returns an empty list if the folder has no index.
    """
    index = folder / "index.parquet"
    if not index.is_file():
        return []
    total = pq.read_metadata(index).num_rows
    chosen = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    rows = list(_read_rows(index, chosen.tolist(), columns=["key", "shard", "offset", "size"]))
    keys = [row["key"] for row in rows]
    manifest = pq.read_table(
        folder / "manifest.parquet", columns=["key", "caption"], filters=[("key", "in", keys)]
    )
    captions = {row["key"]: row["caption"] or "" for row in manifest.to_pylist()}
    return [
        StoredImage(data=_read_bytes(folder, row), note=captions.get(row["key"], ""))
        for row in rows
    ]


def read_dropped(
    packed: Path, downloaded: Path, funnel: Sequence[Step], *, count: int
) -> dict[Reason, list[StoredImage]]:
    """Read up to `count` images for each reason for which an image was dropped.

    Where the reason refers to another downloaded image, that one follows.

    Args:
        packed: The pack_shards folder, for its ledger.
        downloaded: The download_images folder, for the images.
        funnel: The accounts, which say how many the ledger holds of each reason.
        count: Images a reason.
    """
    chosen = _find_dropped(packed / "ledger.parquet", _wanted(funnel, count, pixels=True))
    named = {name for rows in chosen.values() for r in rows for name in (r.row_id, r.detail)}
    places = _find_places(downloaded, named)
    found: dict[Reason, list[StoredImage]] = {reason: [] for reason in chosen}
    for reason, rows in chosen.items():
        for row in rows:
            twin = row.detail in places
            if row.row_id in places:
                note = "dropped" if twin else row.detail
                found[reason].append(StoredImage(data=_read_bytes(*places[row.row_id]), note=note))
            if row.row_id in places and twin:
                other = _read_bytes(*places[row.detail])
                found[reason].append(StoredImage(data=other, note="because of this one"))
    return found


def read_lost(
    packed: Path, funnel: Sequence[Step], *, count: int
) -> dict[Reason, list[DroppedRow]]:
    """Read up to `count` rows for each reason for which a row never became an image.

    Args:
        packed: The pack_shards folder, for its ledger.
        funnel: The accounts, which say how many the ledger holds of each reason.
        count: Rows a reason.
    """
    return _find_dropped(packed / "ledger.parquet", _wanted(funnel, count, pixels=False))


def _wanted(funnel: Sequence[Step], count: int, *, pixels: bool) -> dict[Reason, int]:
    """How many examples to look for; of reasons that were given to images, or only to rows."""
    return {
        Reason(step.stage, step.filter, reason): min(count, number)
        for step in funnel
        if (step.stage in _WITH_PIXELS) == pixels
        for reason, number in step.reasons.items()
    }


def _find_dropped(ledger: Path, wanted: Mapping[Reason, int]) -> dict[Reason, list[DroppedRow]]:
    """Return the first rows of the ledger for each reason, stopping as soon as there are enough."""
    found: dict[Reason, list[DroppedRow]] = {reason: [] for reason in wanted}
    if not ledger.is_file():
        return found
    for batch in pq.ParquetFile(ledger).iter_batches(columns=_LEDGER_COLUMNS):
        if all(len(found[reason]) >= number for reason, number in wanted.items()):
            break
        for row in batch.filter(batch["verdict"].to_numpy(False) == "dropped").to_pylist():
            reason = Reason(row["stage"], row["filter"], row["reason"])
            if len(found.get(reason, ())) < wanted.get(reason, 0):
                found[reason].append(
                    DroppedRow(row["row_id"], row["url"] or "", row["detail"] or "")
                )
    return found


def _find_places(downloaded: Path, row_ids: set[str]) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Return where the raw images of these rows lie: the folder, and the place in its tars."""
    places: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for table in sorted(downloaded.glob("*/raw/shard-*.parquet")):
        if len(places) == len(row_ids):
            break
        rows = pq.read_table(
            table,
            columns=["row_id", "shard", "offset", "size"],
            filters=[("row_id", "in", sorted(row_ids)), ("kept", "==", True)],
        )
        places |= {row["row_id"]: (table.parent, row) for row in rows.to_pylist()}
    return places


def _read_rows(file: Path, rows: Sequence[int], *, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Read single rows of a parquet file, opening only the row groups that hold them."""
    table = pq.ParquetFile(file)
    first = 0
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).num_rows
        inside = [row - first for row in rows if first <= row < first + size]
        if inside:
            yield from table.read_row_group(group, columns=columns).take(inside).to_pylist()
        first += size


def _read_bytes(folder: Path, place: Mapping[str, Any]) -> bytes:
    with (folder / f"shard-{place['shard']:06d}.tar").open("rb") as stream:
        stream.seek(place["offset"])
        return stream.read(place["size"])
