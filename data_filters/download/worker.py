"""One process that downloads raw shards with img2dataset: `python -m data_filters.download.worker`.

img2dataset runs unmodified, in its own process, since the guarded opener is installed for the whole
process. Its own `download` would start three interpreters for the sake of a progress logger; its
`Downloader`, which does the work, is called shard by shard instead, with a resizer of ours. Its
tars differ from run to run (members lie in the order of arrival), so each is rewritten in canonical
form and only that is kept.
"""

import faulthandler
import importlib
import importlib.util
import os
import shutil
import signal
import socket
import sys
import threading
import time
import types
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from data_filters.base import drop
from data_filters.config import DownloadImages
from data_filters.download.job import Job
from data_filters.download.opener import PoliteOpener
from data_filters.download.origin import ORIGIN
from data_filters.download.plan import ShardPlan
from data_filters.download.raw_shard import MISMATCH, Fetched, accept, write_raw_shard
from data_filters.download.reasons import parse_failure
from data_filters.io.parquet import read_slice
from data_filters.io.tar import read_tar

_MAX_DETAIL: Final = 200
_BEAT_SECONDS: Final = 0.2


def main() -> None:
    """Download every shard of the job named on the command line that is not there yet."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # whoever finds us hanging asks where
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _import_img2dataset(job.cfg)
    beat = _beat(job.file(".beat"))
    beat()
    urllib.request.install_opener(PoliteOpener(job.cfg, beat=beat))
    socket.setdefaulttimeout(job.cfg.timeout_seconds)
    for plan in job.left():
        _download(job, plan)


def _beat(file: Path) -> Callable[[], None]:
    """Return what touches `file`, though not at every call."""
    last = -_BEAT_SECONDS

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > _BEAT_SECONDS:
            last = time.monotonic()
            file.touch()

    return beat


def _import_img2dataset(cfg: DownloadImages) -> None:
    """Import the module that does the work, without what they can spare: most of the start-up.

    Importing the package itself would run its command line and with it pandas; webdataset does
    without torch where there is none, and only its tar writer is used; wandb is only called with
    `enable_wandb`, and albumentations only by the resizer that `shrink` takes the place of.
    """
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(cfg.max_pixels)
    package = types.ModuleType("img2dataset")
    found = importlib.util.find_spec(package.__name__)
    assert found is not None
    package.__path__ = list(found.submodule_search_locations or ())
    modules: dict[str, Any] = sys.modules
    modules[package.__name__] = package
    modules["torch"] = None  # the import system's way to say: not installed
    modules["wandb"] = types.ModuleType("wandb")
    importlib.import_module("img2dataset.downloader")


def _die_with_parent() -> None:
    """End when the parent does: it holds the other end of our standard input."""
    os.read(0, 1)  # not sys.stdin: its lock would be held when the interpreter ends
    os._exit(1)


def _download(job: Job, plan: ShardPlan) -> None:
    rows = read_slice(plan.file, ["row_id", "url", "md5"], start=plan.start, stop=plan.stop)
    scratch = job.output / f".{plan.stem}.{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        fetched = list(_fetch(job, rows, scratch))
    finally:
        shutil.rmtree(scratch)
    missing = sorted(set(rows["row_id"].to_pylist()) - {row.row_id for row in fetched})
    # a row that makes img2dataset's loop raise is in none of its outputs
    fetched += [Fetched(row_id, b"", drop("lost_by_img2dataset")) for row_id in missing]
    write_raw_shard(job.output, plan.stem, shard=plan.shard, rows=fetched)


def _fetch(job: Job, rows: pa.Table, scratch: Path) -> Iterator[Fetched]:
    """Run img2dataset over some rows and yield what became of each."""
    urls = [_substitute(url, job.origin) for url in rows["url"].to_pylist()]
    stated = rows["md5"] if job.cfg.verify_md5 else pa.nulls(rows.num_rows, pa.string())
    table = pa.table({"row_id": rows["row_id"], "stated_md5": stated, "url": urls})
    feather = scratch / "rows.feather"
    with pa.ipc.new_file(feather, table.schema) as writer:
        writer.write_table(table)
    succeeded, _ = _downloader(job, table, scratch)((0, str(feather)))
    if not succeeded:
        raise RuntimeError("img2dataset gave up on a shard; its error is in the lines above")
    images = {}
    with (scratch / "00000.tar").open("rb") as file:
        for member, data in read_tar(file, name=file.name):
            key, _, extension = member.name.partition(".")
            if extension == "jpg":
                images[key] = data
    for row in pq.read_table(scratch / "00000.parquet").to_pylist():
        yield _outcome(row, images, origin=job.origin)


def _substitute(url: str, origin: str | None) -> str:
    return url if origin is None else url.replace(ORIGIN, origin)


def _outcome(row: dict[str, Any], images: dict[str, bytes], *, origin: str | None) -> Fetched:
    """Judge one row of img2dataset's table; its `md5` is of the bytes before any resizing."""
    if row["status"] == "success":
        data = images[row["key"]]
        verdict = accept(data)
        if verdict.kept and row["stated_md5"] not in (None, row["md5"]):
            verdict = drop(MISMATCH, row["md5"])
        return Fetched(row["row_id"], data, verdict, original_md5=row["md5"])
    if row["status"] == "failed_to_resize":
        reason, detail = "undecodable", row["error_message"]
    else:
        reason, detail = parse_failure(row["error_message"])
    if detail is not None and origin is not None:
        detail = detail.replace(origin, ORIGIN)
    return Fetched(row["row_id"], b"", drop(reason, detail and detail[:_MAX_DETAIL]))


def _downloader(job: Job, rows: pa.Table, scratch: Path) -> Any:
    from img2dataset.downloader import Downloader
    from img2dataset.writer import WebDatasetSampleWriter

    from data_filters.download.shrink import Shrinker  # OpenCV reads its limit when it is imported

    return Downloader(
        sample_writer_class=WebDatasetSampleWriter,
        resizer=Shrinker(job.cfg.resize),
        thread_count=job.cfg.threads,
        save_caption=False,
        extract_exif=False,
        output_folder=str(scratch),
        column_list=list(rows.column_names),
        timeout=job.cfg.timeout_seconds,
        number_sample_per_shard=max(rows.num_rows, 2),
        oom_shard_count=5,
        compute_hash="md5",
        verify_hash_type=None,
        encode_format="jpg",
        retries=0,  # these, the name and the opt-outs are the opener's business
        user_agent_token=None,
        disallowed_header_directives=None,
    )


if __name__ == "__main__":
    main()
