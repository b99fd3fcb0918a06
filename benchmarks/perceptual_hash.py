"""Perceptual hashes: ours, as `deduplicate` makes them, against Pillow and imagehash.

    python benchmarks/perceptual_hash.py [--images FOLDER] [--number 100] [--minimum 1]

From the bytes of JPEG files, and from pixels that are decoded already. Ours also hashes the mirror
image, and decodes every pixel, since the exact signature is made of them. One thread, process CPU
time, rounds interleaved, median of paired ratios. Exits with 1 when ours from bytes is not
`--minimum` times as fast.
"""

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import imagehash
from PIL import Image

from data_filters.dedup.signatures import perceptual_hash
from data_filters.io.pixels import decode, open_image

FOLDER = Path(__file__).parents[1] / "../shared/data/imagenet_sample"
ROUNDS = 7


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> int:
    """Print rates and ratios; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=FOLDER, help="folder of JPEG images")
    parser.add_argument("--number", type=int, default=100, help="how many of them")
    parser.add_argument("--minimum", type=float, default=1.0, help="smallest ratio that passes")
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.images.rglob("*") if p.suffix.lower() in {".jpeg", ".jpg"})
    if not files:
        raise FileNotFoundError(f"--images: no JPEG in {arguments.images}; give a folder of images")
    images = [path.read_bytes() for path in files[: arguments.number]]
    pixels = [decode(open_image(data)) for data in images]
    pictures = [Image.fromarray(each) for each in pixels]
    forms: dict[str, Callable[[], object]] = {
        "imagehash, bytes": lambda: [imagehash.phash(Image.open(io.BytesIO(d))) for d in images],
        "ours, bytes": lambda: [perceptual_hash(decode(open_image(d))) for d in images],
        "imagehash, pixels": lambda: [imagehash.phash(each) for each in pictures],
        "ours, pixels": lambda: [perceptual_hash(each) for each in pixels],
        "decoding alone": lambda: [Image.open(io.BytesIO(d)).load() for d in images],
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, work in forms.items():
            seconds[name].append(cpu_seconds(work))
    ratios = {}
    for name, values in seconds.items():
        peer = seconds["imagehash, pixels" if "pixels" in name else "imagehash, bytes"]
        ratios[name] = statistics.median(a / b for a, b in zip(peer, values, strict=True))
        rate = len(images) / statistics.median(values)
        print(f"{name:18} {rate:6.0f} images a CPU second, {ratios[name]:.2f} times imagehash")
    return int(ratios["ours, bytes"] < arguments.minimum)


if __name__ == "__main__":
    sys.exit(main())
