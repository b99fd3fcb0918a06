"""Fetch a published selection again, say what is lost, and write its shards anew.

Written:

    FOLDER/
        shard-000000.tar …   the images that are the same, in the shards that they were in
        index.parquet        as `pack_shards` writes it
        manifest.parquet     the same
        link_rot.parquet     a row per image of the selection (`records.LINK_ROT`)
        link_rot.json        the counts

Where nothing is lost, the shards are those of the selection to the byte. What has changed is left
out: somebody else may own the domain today.
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final

import duckdb

from data_filters.config import DownloadImages
from data_filters.download.fetch import fetch_shards
from data_filters.download.origin import LoopbackOrigin
from data_filters.download.plan import plan_shards
from data_filters.io.database import connect
from data_filters.io.files import file_digest, read_json, write_json
from data_filters.io.parquet import part_files, scan_sql, write_batches
from data_filters.pack.shard import write_manifest, write_shards
from data_filters.rebuild.link_rot import (
    Summary,
    declare_fetched,
    link_rot,
    nobody_answered,
    same_images,
    summarise,
)
from data_filters.rebuild.selection import check_selection, is_embedded, rows_to_fetch
from data_filters.records import INDEX, LINK_ROT, METADATA, PACKED

SUMMARY: Final = "link_rot.json"
_WORK: Final = "unfinished"
_NOTE: Final = "selection.json"


def rebuild(
    manifest: Path,
    cfg: DownloadImages,
    *,
    output: Path,
    embedded_world: Callable[[], LoopbackOrigin],
) -> Summary:
    """Rebuild a selection; see the module's docstring for the layout.

    A killed run continues from `output/unfinished`, which the finished one removes.

    Args:
        manifest: `manifest.parquet` of a published `pack_shards`.
        cfg: How images are fetched and resized; their md5 is verified whatever it says.
        output: Where to: a new folder, or that of a killed run.
        embedded_world: Serves the embedded world, where the selection is one of its.

    Raises:
        ConnectionError: No host could be reached; nothing is published.
        FileNotFoundError: The manifest is not there.
        RuntimeError: Download workers failed.
        ValueError: The manifest is none, or `output` holds something else.
    """
    work = output / _WORK
    _claim(output, manifest)
    with ExitStack() as stack:
        connection = stack.enter_context(connect(work))
        rows = work / "rows" / "rows.parquet"
        check_selection(connection, manifest)
        if not (work / _NOTE).exists():
            write_batches(rows, METADATA, rows_to_fetch(connection, manifest))
            write_json(work / _NOTE, {"sha256": file_digest(manifest)})
        origin = None
        if is_embedded(connection, manifest):
            origin = stack.enter_context(embedded_world()).address
        raw = work / "raw"
        raw.mkdir(exist_ok=True)
        verified = cfg.model_copy(update={"verify_md5": True})
        plans = plan_shards([rows], rows_per_shard=cfg.rows_per_shard)
        fetch_shards(verified, plans, folder=raw, origin=origin)
        declare_fetched(connection, manifest, part_files(raw))
        if nobody_answered(connection):
            shutil.rmtree(raw)
            raise ConnectionError(
                f"{manifest}: not one of its hosts could be reached, which says more of this "
                "machine's network than of the images; mend it, and give the same command again"
            )
        summary = _write(connection, work=work, output=output)
    shutil.rmtree(work)
    return summary


def _claim(output: Path, manifest: Path) -> None:
    """Make the work folder, or find the one that a killed run on the same manifest left."""
    work = output / _WORK
    note = work / _NOTE
    if note.exists():
        if manifest.is_file() and read_json(note)["sha256"] != file_digest(manifest):
            raise ValueError(f"{output}: begun with another manifest; name a new folder")
        return
    if work.exists():  # of a run that got no further than looking at its manifest
        shutil.rmtree(work)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output}: not an empty folder; name a new one")
    work.mkdir(parents=True)


def _write(connection: duckdb.DuckDBPyConnection, *, work: Path, output: Path) -> Summary:
    table, packed = output / "link_rot.parquet", work / "packed.parquet"
    write_batches(table, LINK_ROT, link_rot(connection))
    write_batches(packed, PACKED, same_images(connection))
    write_shards(packed, _stretches(connection, packed), index=INDEX, work=work, output=output)
    write_manifest(packed, output / "manifest.parquet")
    summary = summarise(connection, table)
    write_json(output / SUMMARY, summary._asdict())
    return summary


def _stretches(connection: duckdb.DuckDBPyConnection, packed: Path) -> list[range]:
    """Return the rows of each shard; there are none of those that are lost whole."""
    counts = connection.sql(
        f"SELECT shard, count(*) FROM {scan_sql([packed])} GROUP BY shard"  # noqa: S608
    )
    sizes: dict[int, int] = dict(counts.fetchall())
    shards = range(max(sizes, default=-1) + 1)
    ends = accumulate((sizes.get(shard, 0) for shard in shards), initial=0)
    return [range(start, stop) for start, stop in pairwise(ends)]
