"""Perceptual hashes: ours, as `deduplicate` makes them, against Pillow and imagehash.

    python benchmarks/perceptual_hash.py [--images FOLDER] [--number 100] [--minimum 4]

From the bytes of JPEG files, and from pixels that are decoded already; ours hashes the mirror image
as well. `luma` is what ours takes to decode, the rest is hashing. One thread, process CPU time,
rounds interleaved, median of paired ratios. Exits with 1 when ours from bytes is not `--minimum`
times as fast. What the hashes find is printed by near_duplicates.py.
"""

import argparse
import io
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import imagehash
from measuring import in_turn, paired_ratio
from PIL import Image

from data_filters.dedup.signatures import MIN_CELLS, perceptual_hash, sign
from data_filters.io.luma import averaged, grey_levels, read_luma
from data_filters.io.pixels import decode, open_image

FOLDER = Path(__file__).parents[1] / "../shared/data/imagenet_sample"
ROUNDS = 7


def main() -> int:
    """Print rates and ratios; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=FOLDER, help="folder of JPEG images")
    parser.add_argument("--number", type=int, default=100, help="how many of them")
    parser.add_argument("--minimum", type=float, default=4.0, help="smallest ratio that passes")
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.images.rglob("*") if p.suffix.lower() in {".jpeg", ".jpg"})
    if not files:
        raise FileNotFoundError(f"--images: no JPEG in {arguments.images}; give a folder of images")
    images = [path.read_bytes() for path in files[: arguments.number]]
    pixels = [decode(open_image(data)) for data in images]
    pictures = [Image.fromarray(each) for each in pixels]
    forms: dict[str, Callable[[], object]] = {
        "imagehash, bytes": lambda: [imagehash.phash(Image.open(io.BytesIO(d))) for d in images],
        "ours, bytes": lambda: [sign(data, sha256="known") for data in images],
        "imagehash, pixels": lambda: [imagehash.phash(each) for each in pictures],
        "ours, pixels": lambda: [
            perceptual_hash(averaged(grey_levels(each), min_cells=MIN_CELLS)) for each in pixels
        ],
        "luma, bytes": lambda: [read_luma(data, min_cells=MIN_CELLS) for data in images],
        "Pillow, bytes": lambda: [Image.open(io.BytesIO(data)).load() for data in images],
    }
    seconds = in_turn(forms, rounds=ROUNDS)
    ratios = {}
    for name, values in seconds.items():
        kind = name.partition(", ")[2]
        ratios[name] = paired_ratio(seconds[f"imagehash, {kind}"], values)
        rate = len(images) / statistics.median(values)
        print(f"{name:18} {rate:6.0f} images a CPU second, {ratios[name]:.2f} times imagehash")
    return int(ratios["ours, bytes"] < arguments.minimum)


if __name__ == "__main__":
    sys.exit(main())
