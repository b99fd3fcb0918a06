"""Copy the kept images of a local collection into raw shards, in the layout of a download."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from data_filters.base import drop
from data_filters.download.plan import ShardPlan
from data_filters.download.raw_shard import Fetched, write_raw_shard
from data_filters.io.parquet import read_slice
from data_filters.io.processes import run_jobs
from data_filters.source_kinds import LocalSource
from data_filters.sources.image import LocalReader, SourceImage
from data_filters.sources.local import open_source


def copy_shards(source: LocalSource, plans: Sequence[ShardPlan], *, folder: Path, key: str) -> None:
    """Write every planned raw shard that `folder` does not hold yet.

    Args:
        source: Where the bytes are.
        plans: The shards, part by part.
        folder: Where raw shards appear.
        key: Parameter to name in errors.

    Raises:
        ValueError: The source is no longer what `fetch_metadata` listed.
    """
    parts: dict[Path, list[ShardPlan]] = {}
    for plan in plans:
        parts.setdefault(plan.file, []).append(plan)
    todo = [part for part in parts.values() if not all(plan.is_done(folder) for plan in part)]
    copy = partial(_copy_part, source=source, folder=folder, key=key)
    for _ in run_jobs(copy, todo, label="copy"):
        pass


def _copy_part(plans: Sequence[ShardPlan], *, source: LocalSource, folder: Path, key: str) -> None:
    """Read one part of the source front to back and cut it into its shards."""
    reader = open_source(source, key=key)
    first = read_slice(plans[0].file, ["part"], start=0, stop=1)
    images = enumerate(_images(reader, first["part"][0].as_py(), key=key))
    for plan in plans:
        wanted = read_slice(
            plan.file, ["row", "row_id", "path"], start=plan.start, stop=plan.stop
        ).to_pylist()
        rows = [_take(images, want, key=key) for want in wanted]
        if not plan.is_done(folder):
            write_raw_shard(folder, plan.stem, shard=plan.shard, rows=rows)


def _images(reader: LocalReader, part: int, *, key: str) -> Iterator[SourceImage]:
    if part >= reader.num_parts():
        raise ValueError(
            f"{key} has {reader.num_parts()} parts, but part {part} was listed by fetch_metadata: "
            "it changed in between; rerun fetch_metadata"
        )
    return reader.images(part, with_data=True)


def _take(images: "enumerate[SourceImage]", want: dict[str, str | int], *, key: str) -> Fetched:
    """Advance to the wanted row."""
    for row, image in images:
        if row < int(want["row"]):
            continue
        if image.path != want["path"]:
            raise ValueError(
                f"{key} holds {image.path!r} where fetch_metadata listed {want['path']!r}: the "
                "source has changed; run fetch_metadata again"
            )
        row_id = str(want["row_id"])
        if image.data is None:
            return Fetched(row_id, b"", drop(image.problem or "image_missing", image.path))
        return Fetched(row_id, image.data)
    raise ValueError(
        f"{key} ends before {want['path']!r}, which fetch_metadata listed: the source has "
        "changed; run fetch_metadata again"
    )
