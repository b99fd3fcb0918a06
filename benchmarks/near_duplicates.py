"""Perceptual hashes: what near-duplicate search finds, what it confuses, and how fast it is.

    python benchmarks/near_duplicates.py [--images FOLDER] [--number 1000]

Every image gets copies: exact, resized to 60 and 40 %, JPEG at quality 50, cropped by 2 % and by
5 % at each side, mirrored, and several of these at once. Recall is the share of (image, copy) pairs
found, precision the share of pairs found, over all originals and the copies of one kind, that are
an image and its own copy; each with and without mirrored hashes. Then, on the same hashes:

    cells      what hashes of fewer or more cells of an image find (the decoder averages pixels)
    exactness  the multi-index search finds what comparing all with all finds, at every radius
    speed      hashing against `imagehash`, search against comparing all with all (CPU time, paired)
    leaks      a fifth of the originals as an evaluation set: how many of their copies get through,
               and how many of the other originals go with them, with the hash of each image alone,
               with that of its mirror image, with those of its crops

Exits with 1 unless exact recall is 100 %, the search is exact, no exact copy, resized or
recompressed copy of an evaluation image gets through at the base radius (6), and at most one crop
or mirror image in a hundred.
"""

import argparse
import functools
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from measuring import in_turn, paired_ratio
from PIL import Image, ImageOps

from data_filters.dedup.hamming import Lookup, pairs_within
from data_filters.dedup.leakage import Evaluation, LeakFinder, Signatures
from data_filters.dedup.signatures import MIN_CELLS, looks_cropped, perceptual_hash, sign
from data_filters.io.luma import averaged, grey_levels, read_luma
from data_filters.io.pixels import Pixels, decode, open_image, pixel_digest
from data_filters.records import EVALUATION_SIGNATURE

RADII = (0, 2, 4, 6, 8, 10, 12)
NEAR_RADIUS, EVALUATION_RADIUS, MIN_CONTRAST, CROPS = (
    2,
    6,
    6.0,
    (0.02, 0.05),
)  # of the base in params.yaml
FOLDER = Path(__file__).parents[1] / "../shared/data/imagenet_sample"
EVALUATION_SHARE = 5
MAX_THROUGH = 0.01
"""Share of planted crops and mirror images that may get through."""
Hashes = npt.NDArray[np.uint64]


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    """Encode as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resized(image: Image.Image, share: float = 0.6) -> Image.Image:
    """Shrink both sides to a share."""
    size = (round(share * image.width), round(share * image.height))
    return image.resize(size, Image.Resampling.LANCZOS)


def cropped(image: Image.Image, share: float = 0.05) -> Image.Image:
    """Cut a share off each side."""
    x, y = round(share * image.width), round(share * image.height)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "resize 60 %": lambda image: encoded(resized(image)),
    "resize 40 %": lambda image: encoded(resized(image, 0.4)),
    "JPEG 50": lambda image: encoded(image, 50),
    "crop 2 %": lambda image: encoded(cropped(image, 0.02)),
    "crop 5 %": lambda image: encoded(cropped(image)),
    "flip": lambda image: encoded(ImageOps.mirror(image)),
    "crop 2 %, flip": lambda image: encoded(ImageOps.mirror(cropped(image, 0.02))),
    "crop 5 %, flip": lambda image: encoded(ImageOps.mirror(cropped(image))),
    "crop 3.5 %": lambda image: encoded(cropped(image, 0.035)),
    "crop 5 % on the left": lambda image: encoded(
        image.crop((round(0.05 * image.width), 0, image.width, image.height))
    ),
    "crop 2 % on top": lambda image: encoded(
        image.crop((0, round(0.02 * image.height), image.width, image.height))
    ),
    "crop 5 % left and top": lambda image: encoded(
        image.crop((round(0.05 * image.width), round(0.05 * image.height), *image.size))
    ),
    "resize, crop, JPEG 50": lambda image: encoded(cropped(resized(image)), 50),
}


STUDIED = ("resize 60 %", "resize 40 %", "JPEG 50", "crop 2 %", "flip")
"""Copies by which the number of cells was chosen."""


def real_images(folder: Path, number: int) -> Iterator[bytes]:
    """Yield distinct encoded images of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpeg", ".jpg"})
    if not files:
        raise FileNotFoundError(f"--images: no JPEG in {folder}; give a folder of images")
    for path in files[:number]:
        yield path.read_bytes()


def signatures(images: list[bytes]) -> Signatures:
    """Sign images as the stage `deduplicate` does."""
    rows = [
        {**sign(data)._asdict(), "pixels": pixel_digest(decode(open_image(data)))}
        for data in images
    ]
    return Signatures.of(pa.Table.from_pylist(rows, schema=EVALUATION_SIGNATURE), None)


def brute_force(hashes: Hashes, radius: int) -> npt.NDArray[np.int64]:
    """Compare all with all: pairs i < j, [pairs, 2]."""
    found = []
    for i in range(len(hashes) - 1):
        j = np.flatnonzero(np.bitwise_count(hashes[i] ^ hashes[i + 1 :]) <= radius) + i + 1
        found.append(np.stack([np.full(len(j), i), j], axis=1))
    return np.concatenate(found)


def found_pairs(whole: Signatures, radius: int, *, mirrored: bool) -> set[tuple[int, int]]:
    """The pairs i < j that the stage would join."""
    worth = np.flatnonzero(whole.contrast >= MIN_CONTRAST)
    hashes = whole.perceptual[worth]
    pairs = [pairs_within(hashes, radius=radius)]
    if mirrored:
        pairs.append(Lookup(whole.mirrored[worth], radius=radius).pairs(hashes))
    return {
        (min(i, j), max(i, j))
        for left, right in pairs
        for i, j in zip(worth[left].tolist(), worth[right].tolist(), strict=True)
        if i != j
    }


def joined(one: Signatures, other: Signatures) -> Signatures:
    """Put two sets one after the other."""
    pairs: Iterable[Any] = zip(one[:-1], other[:-1], strict=True)
    return Signatures._make([*map(np.concatenate, pairs), None])


def some(images: Signatures, rows: slice) -> Signatures:
    """Take some of the images."""
    arrays: Iterable[Any] = images[:-1]
    return Signatures._make([*(array[rows] for array in arrays), None])


def report_quality(originals: Signatures, copies: dict[str, Signatures]) -> None:
    """Print recall and precision by kind of copy, radius and mirrored hashes."""
    number = len(originals.sha256)
    for mirrored in (False, True):
        print(f"\nrecall / precision, mirrored hashes {'on' if mirrored else 'off'}")
        print(f"{'copy':24}" + "".join(f"{f'radius {radius}':>15}" for radius in RADII))
        for name, copied in copies.items():
            whole = joined(originals, copied)
            cells = []
            for radius in RADII:
                found = found_pairs(whole, radius, mirrored=mirrored)
                right = sum((i, i + number) in found for i in range(number))
                cells.append(f"{right / number:.3f} / {right / max(len(found), 1):.3f}")
            print(f"{name:24}" + "".join(f"{cell:>15}" for cell in cells))


def report_cells(data: list[bytes], copies: dict[str, list[bytes]]) -> None:
    """Print what hashes of fewer and of more cells find, and how far they are from all pixels'."""

    def hashes(images: list[bytes], cells: int) -> Hashes:
        looks = [perceptual_hash(read_luma(each, min_cells=cells)) for each in images]
        return np.array([[each.perceptual, each.mirrored] for each in looks], np.uint64)

    every_pixel = max(max(Image.open(io.BytesIO(each)).size) for each in data)
    whole = hashes(data, every_pixel)[:, 0]
    radii = (NEAR_RADIUS, EVALUATION_RADIUS)
    print(f"\ncells along the shorter side, at least: bits from the hash of all pixels; recall at "
          f"radius {radii[0]}, at {radii[1]}\n{'':10}{'bits':>6}"
          + "".join(f"{name:>16}" for name in copies))  # fmt: skip
    for cells in (16, MIN_CELLS, 64, every_pixel):
        own = hashes(data, cells)
        cells_found = []
        for name, copied in copies.items():
            theirs = hashes(copied, cells)[:, 1 if name == "flip" else 0]
            bits = np.bitwise_count(own[:, 0] ^ theirs)
            cells_found.append(", ".join(f"{(bits <= radius).mean():.3f}" for radius in radii))
        bits = np.bitwise_count(own[:, 0] ^ whole).mean()
        label = "all" if cells == every_pixel else str(cells)
        print(f"  {label:<8}{bits:6.2f}" + "".join(f"{found:>16}" for found in cells_found))


def ratio(slow: Callable[[], object], fast: Callable[[], object], *, rounds: int = 5) -> float:
    """Return how many times the processor time of one the other takes, called in turn."""
    seconds = in_turn({"slow": slow, "fast": fast}, rounds=rounds)
    return paired_ratio(seconds["slow"], seconds["fast"])


def report_speed(pixels: list[Pixels], hashes: Hashes) -> bool:
    """Print ratios against the peers; return whether the search is exact."""

    def ours() -> None:
        for each in pixels:
            perceptual_hash(averaged(grey_levels(each), min_cells=MIN_CELLS))

    def theirs() -> None:
        for each in pixels:
            imagehash.phash(Image.fromarray(each))

    print(f"\nhashing {len(pixels)} decoded images, imagehash.phash / ours (which adds the mirror "
          f"image): {ratio(theirs, ours):.2f} times the CPU time")  # fmt: skip
    rng = np.random.default_rng(0)
    many = np.concatenate([hashes, rng.integers(0, 2**64, 40_000 - len(hashes), np.uint64)])
    exact = True
    print(f"search among {len(many)} hashes (the images' own and uniform ones)")
    for radius in (2, 6):
        expected = brute_force(many, radius)
        left, right = pairs_within(many, radius=radius)
        exact &= np.array_equal(np.stack([left, right], axis=1), expected)
        times = ratio(
            functools.partial(brute_force, many, radius),
            functools.partial(pairs_within, many, radius=radius),
            rounds=3,
        )
        print(f"  radius {radius}: {len(expected)} pairs, all with all / ours: {times:.1f} times")
    for radius in RADII:
        left, right = pairs_within(hashes, radius=radius)
        exact &= np.array_equal(np.stack([left, right], axis=1), brute_force(hashes, radius))
    print(f"  the same pairs as all with all, at radii {RADII}: {exact}")
    return exact


def report_leaks(
    originals: Signatures, copies: dict[str, Signatures], crops: Hashes, images: int
) -> bool:
    """Plant copies of evaluation images; print what gets through; return whether enough is kept.

    The other originals are strangers: each one dropped is a mistake, or a copy in the photographs.
    """
    own, mirrored = (hashes[:images, None] for hashes in (originals.perceptual, originals.mirrored))
    ways = {
        "its hash": own,
        "+ mirrored": np.hstack([own, mirrored]),
        "+ crops": np.hstack([own, mirrored, crops[:images]]),
    }
    evaluation = some(originals, slice(images))
    strangers = some(originals, slice(images, None))

    def leaks(training: Signatures, looks: Hashes) -> int:
        finder = LeakFinder(
            Evaluation(evaluation, looks, None),
            radius=EVALUATION_RADIUS,
            min_contrast=MIN_CONTRAST,
            min_cosine=None,
        )
        return len(finder.find(training).images)

    print(f"\nplanted copies of {images} evaluation images that get through at radius "
          f"{EVALUATION_RADIUS}, where an image is recognised by\n{'':24}"
          + "".join(f"{way:>14}" for way in ways))  # fmt: skip
    through = {}
    for name, copied in {"exact": originals, **copies}.items():
        planted = some(copied, slice(images))
        through[name] = [images - leaks(planted, looks) for looks in ways.values()]
        print(f"  {name:22}" + "".join(f"{number:14}" for number in through[name]))
    wrong = [leaks(strangers, looks) for looks in ways.values()]
    print(f"  {f'of {len(strangers.sha256)} strangers dropped':22}"
          + "".join(f"{number:14}" for number in wrong))  # fmt: skip
    first = max(max(through[name]) for name in ("exact", "resize 60 %", "resize 40 %", "JPEG 50"))
    last = max(through[name][-1] for name in ("crop 2 %", "crop 5 %", "flip", "crop 5 %, flip"))
    return first == 0 and last <= MAX_THROUGH * images


def main() -> int:
    """Print all tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=FOLDER, help="folder of JPEG images")
    parser.add_argument("--number", type=int, default=1000, help="how many of them")
    arguments = parser.parse_args()
    data = list(real_images(arguments.images, arguments.number))
    originals = signatures(data)
    opened = [Image.open(io.BytesIO(each)).convert("RGB") for each in data]
    encodings = {name: [copy(image) for image in opened] for name, copy in COPIES.items()}
    copies = {name: signatures(images) for name, images in encodings.items()}
    distinct, first = np.unique(originals.sha256, return_index=True)
    again = signatures(data)
    recall = float((again.sha256 == originals.sha256).mean())
    print(f"{len(data)} images, {len(distinct)} of them distinct; exact copies found: {recall:.1%}")
    report_quality(originals, copies)
    report_cells(data, {name: encodings[name] for name in STUDIED})
    some = [np.asarray(image) for image in opened[:100]]
    exact = report_speed(some, originals.perceptual[np.sort(first)])
    crops = np.array([looks_cropped(np.asarray(each), CROPS) for each in opened], np.uint64)
    safe = report_leaks(originals, copies, crops, images=len(data) // EVALUATION_SHARE)
    passed = recall == 1 and exact and safe
    print("\npass" if passed else "\nFAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
