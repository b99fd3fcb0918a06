"""Images shrunk as they arrive: ours and img2dataset's own resizer against the codec.

    python benchmarks/resize.py [--images FOLDER] [--number 200] [--size 256] [--minimum 0.8]

The limit is what the codec alone takes with the same library (OpenCV): decoding every image, and
encoding the shrunk one, with no resizing in between. One thread, process CPU time, rounds
interleaved, median of paired ratios. Exits with 1 below `--minimum` of the limit.
"""

import argparse
import io
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from img2dataset.resizer import Resizer
from measuring import in_turn, paired_ratio

from data_filters.config import Resize
from data_filters.download.shrink import Shrinker

FOLDER = Path(__file__).parents[1] / "../shared/data/imagenet_sample"
QUALITY = 95  # of the base in params.yaml
ROUNDS = 7


def read(folder: Path, number: int, size: int) -> list[bytes]:
    """Read photographs, twice as large as they shall become."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpeg", ".jpg"})
    if not files:
        raise FileNotFoundError(f"--images: no JPEG in {folder}; give a folder of images")
    return [enlarged(path.read_bytes(), 2 * size) for path in files[:number]]


def decoded(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode an image."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def enlarged(data: bytes, side: int) -> bytes:
    """Encode an image with a shorter side of so many pixels, as originals on the web have."""
    pixels = decoded(data)
    scale = side / min(pixels.shape[:2])
    large = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def shrink(images: list[bytes], resizer: Callable[[io.BytesIO], Any]) -> list[bytes]:
    """Shrink as img2dataset's downloader does."""
    shrunk = []
    for data in images:
        encoded, *_, error = resizer(io.BytesIO(data))
        assert error is None, error
        shrunk.append(encoded)
    return shrunk


def codec(images: list[bytes], small: list[npt.NDArray[np.uint8]]) -> None:
    """Decode every image and encode its shrunk form."""
    for data, pixels in zip(images, small, strict=True):
        decoded(data)
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def main() -> int:
    """Print rates and the ratio; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=FOLDER, help="folder of JPEG images")
    parser.add_argument("--number", type=int, default=200, help="how many of them")
    parser.add_argument("--size", type=int, default=256, help="pixels of the shorter side")
    parser.add_argument("--minimum", type=float, default=0.8, help="share of the limit")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    images = read(arguments.images, arguments.number, arguments.size)
    ours = Shrinker(Resize(mode="keep_ratio", size=arguments.size, quality=QUALITY))
    theirs = Resizer(
        image_size=arguments.size, resize_mode="keep_ratio", resize_only_if_bigger=True,
        encode_quality=QUALITY, encode_format="jpg", skip_reencode=True,
    )  # fmt: skip
    shrunk = shrink(images, ours)
    same = sum(one == other for one, other in zip(shrunk, shrink(images, theirs), strict=True))
    small = [decoded(data) for data in shrunk]
    forms: dict[str, Callable[[], object]] = {
        "codec alone": lambda: codec(images, small),
        "ours": lambda: shrink(images, ours),
        "img2dataset": lambda: shrink(images, theirs),
    }
    seconds = in_turn(forms, rounds=ROUNDS)
    limit = seconds["codec alone"]
    share = {}
    print(f"{len(images)} images to {arguments.size} pixels; {same} have img2dataset's very bytes")
    for name, values in seconds.items():
        share[name] = paired_ratio(limit, values)
        rate = len(images) / statistics.median(values)
        print(f"  {name:12} {rate:6.0f} images a CPU second, {share[name]:.2f} of the limit")
    return int(share["ours"] < arguments.minimum or same < len(images))


if __name__ == "__main__":
    sys.exit(main())
