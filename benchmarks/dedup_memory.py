"""Memory and time of comparing all signatures: gathering in `deduplicate` stays within its memory.

    python benchmarks/dedup_memory.py [--images 1000000 3000000 10000000] [--memory 1000]

Writes the tables that the stages before leave (raw images, verdicts, signatures; uniform hashes;
an image in a hundred is a copy by bytes, another by pixels, another by looks) and gathers them in a
process of its own, on one thread, told to use `--memory` megabytes. Prints images per second of
process CPU time, the peak of memory, imports included.

Exits with 1 when a peak is higher than what was allowed.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_filters.config import Deduplicate
from data_filters.groups import group_names
from data_filters.io.parquet import write_batches
from data_filters.records import IMAGE_VERDICT, RAW_IMAGE, SIGNATURE
from data_filters.stages import deduplicate

PER_SHARD = 10_000
GROUPS = 2
LIMITS = {
    "near_duplicate_radius": 2, "evaluation_radius": 6, "min_contrast": 6.0, "mirrored": False,
    "evaluation_mirrored": True, "evaluation_crops": [0.02, 0.05], "semantic": None,
    "evaluation_splits": "held_out",
}  # fmt: skip


def texts(numbers: npt.NDArray[np.uint64], *, digits: int) -> pa.Array:
    """Spell numbers as hexadecimal digests: equal for equal numbers, else spread evenly."""
    words = np.stack([numbers * np.uint64(2 * k + 1) for k in range(digits // 16)], axis=1)
    data = np.ascontiguousarray(words.astype(">u8")).tobytes().hex()
    return pa.array([data[k : k + digits] for k in range(0, len(data), digits)], pa.string())


def shard(number: int) -> Iterator[tuple[str, pa.Schema, pa.RecordBatch]]:
    """Yield the tables of one raw shard, each with its folder and schema."""
    rng = np.random.default_rng(number)
    size = PER_SHARD
    sha256, pixels, looks = (rng.integers(0, 2**64, size, np.uint64) for _ in range(3))
    source = rng.integers(0, size, size)
    for column, chance in ((sha256, 0.01), (pixels, 0.02), (looks, 0.03)):
        copies = np.flatnonzero(np.arange(size) % 100 < 100 * chance)
        column[copies] = column[source[copies]]
    row_ids = texts(np.arange(number * size, (number + 1) * size, dtype=np.uint64), digits=32)
    columns = {
        "row_id": row_ids,
        "kept": pa.array([True] * size),
        "sha256": texts(sha256, digits=64),
        "pixels": texts(pixels, digits=64),
        "perceptual": pa.array(looks),
        "mirrored": pa.array(~looks),
        "contrast": pa.array(np.full(size, 50, np.float32)),
        "width": pa.array(rng.integers(256, 999, size), pa.int32()),
        "height": pa.array(rng.integers(256, 999, size), pa.int32()),
        "size": pa.array(rng.integers(10_000, 99_999, size), pa.int64()),
    }
    for folder, schema in (
        ("download_images/{}/raw", RAW_IMAGE),
        ("filter_images/{}/verdicts", IMAGE_VERDICT),
        ("deduplicate/{}/signatures", SIGNATURE),
    ):
        arrays = [columns.get(field.name, pa.nulls(size, field.type)) for field in schema]
        yield folder, schema, pa.RecordBatch.from_arrays(arrays, schema=schema)


def write_tables(root: Path, images: int) -> None:
    """Write what the stages before have left of so many images."""
    shards = images // PER_SHARD
    for number in range(shards):
        group = group_names(GROUPS)[GROUPS * number // shards]
        for folder, schema, rows in shard(number):
            file = root / folder.format(group) / f"shard-{number:06d}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_batches(file, schema, [rows])


def gather(root: Path, memory: int) -> tuple[float, float]:
    """Compare all images; return CPU seconds and the peak in bytes."""
    os.environ |= {
        "FRANCA_WORKERS": "1", "OMP_NUM_THREADS": "1", "FRANCA_MEMORY_MB": str(memory),
    }  # fmt: skip
    (root / "out").mkdir()
    groups = group_names(GROUPS)
    start = time.process_time()
    deduplicate.gather(
        Deduplicate.model_validate(LIMITS),
        seed=0,
        parts={group: root / "deduplicate" / group for group in groups},
        inputs={name: root / name for name in ("download_images", "filter_images", "scenes")},
        output=root / "out",
        work=root,
        evaluation_sets={},
    )
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return time.process_time() - start, peak


def main() -> int:
    """Measure every size; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--memory", type=int, default=1000, help="megabytes")
    arguments = parser.parse_args()
    within = True
    for images in arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            write_tables(Path(folder), images)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, peak = pool.apply(gather, (Path(folder), arguments.memory))
        print(
            f"{images:,} images: {images / seconds:,.0f} a CPU second, {peak / 1e6:,.0f} MB of "
            f"{arguments.memory:,} MB",
            flush=True,
        )
        within &= peak <= arguments.memory * 1e6
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
