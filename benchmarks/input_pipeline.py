"""Claim: from JPEG bytes to crops, the opencv backend is many times faster than torchvision.

    python benchmarks/input_pipeline.py [--images FOLDER] [--rounds N]

Everything runs in one process on one thread; what is measured is process CPU time. Every round puts
the same images through each variant, in turn; ratios are medians of the rounds' ratios. Variants:

    reference      what DINOv2's and Franca's data set does: Pillow decodes, torchvision's own
                   transforms draw and crop, normalised float tensors come out
    torchvision    our paper-exact backend, 8-bit crops
    opencv         our fast backend, 8-bit crops, each operation within the tested tolerance
    approximate    the same with colour as one matrix
    device         opencv cuts and resizes only; colours and blur are left to the device that trains
    opencv float   opencv, stacked and normalised on the CPU as the reference's crops are
    decode only    the limit: the image is decoded and nothing else happens
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring import paired_ratio
from PIL import Image

from compat.torchvision_shim import ensure_torchvision
from franca.config.augment import Augment
from franca.data.augment import MultiCrop, build_augmentation
from franca.data.collate import normalise, stack_views
from franca.data.decode import decode_rgb
from franca.randomness import numpy_generator

ensure_torchvision()

from torchvision import transforms as T  # noqa: E402  (imports only once repaired)

PAPER = {
    "global_crops": {"size": 224, "scale": [0.32, 1.0]},
    "local_crops": {"size": 98, "scale": [0.05, 0.32], "count": 8},
    "flip": 0.5,
    "jitter": {
        "probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1,
    },
    "grayscale": 0.2,
    "blur": {
        "kernel_size": 9, "sigma": [0.1, 2.0], "first_global": 1.0, "second_global": 0.1,
        "local": 0.5, "legacy": False,
    },
    "solarize": {"probability": 0.2, "threshold": 128},
    "backend": "torchvision",
    "approximate_colour": False,
}  # fmt: skip
Variant = Callable[[bytes, int], object]


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: made up, 500 x 375")
    parser.add_argument("--rounds", type=int, default=15, help="rounds, each of eight images")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(0)

    images = read_images(arguments.images, count=8 * arguments.rounds)
    seconds = measure(variants(), images)
    size = statistics.mean(len(data) for data in images)
    print(f"{len(images)} JPEGs of {size / 1000:.0f} kB, 2 x 224 + 8 x 98 pixels")
    print(f"{'variant':14}  images per CPU second   x reference   x torchvision   of decode limit")
    for name, times in seconds.items():
        rate = 8 / statistics.median(times)
        ratios = [
            paired_ratio(seconds[peer], times)
            for peer in ("reference", "torchvision", "decode only")
        ]
        print(
            f"{name:14}  {rate:21.1f}   {ratios[0]:11.1f}   {ratios[1]:13.1f}   {ratios[2]:15.3f}"
        )


def measure(variants: dict[str, Variant], images: list[bytes]) -> dict[str, list[float]]:
    """Return the CPU seconds of each variant for each round of eight images."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        variant(images[0], 0)  # first calls load and allocate
    for start in range(0, len(images), 8):
        for name, variant in variants.items():
            started = time.process_time()
            for number, data in enumerate(images[start : start + 8], start=start):
                variant(data, number)
            seconds[name].append(time.process_time() - started)
    return seconds


def variants() -> dict[str, Variant]:
    """Return what is compared."""

    def ours(augment: MultiCrop) -> Variant:
        return lambda data, number: augment(
            decode_rgb(data), rng=numpy_generator(0, "augment", number)
        )

    def with_float(augment: MultiCrop) -> Variant:
        def make(data: bytes, number: int) -> object:
            crops = augment(decode_rgb(data), rng=numpy_generator(0, "augment", number))
            return normalise(stack_views([crops[:2]])), normalise(stack_views([crops[2:]]))

        return make

    def built(**changes: object) -> MultiCrop:
        return build_augmentation(Augment.model_validate(PAPER | changes))

    return {
        "reference": reference(),
        "torchvision": ours(built()),
        "opencv": ours(built(backend="opencv")),
        "approximate": ours(built(backend="opencv", approximate_colour=True)),
        "device": ours(built(backend="device")),
        "opencv float": with_float(built(backend="opencv")),
        "decode only": lambda data, number: decode_rgb(data),  # noqa: ARG005
    }


def reference() -> Variant:
    """Compose torchvision's transforms as DataAugmentationDINO does, with blur as written."""
    blur = T.GaussianBlur(9, sigma=(0.1, 2.0))
    colour = [
        T.RandomApply([T.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
        T.RandomGrayscale(p=0.2),
    ]
    finish = [T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]

    def view(size: int, scale: tuple[float, float], *extra: object) -> T.Compose:
        crop = T.RandomResizedCrop(size, scale, interpolation=T.InterpolationMode.BICUBIC)
        return T.Compose([crop, T.RandomHorizontalFlip(), *colour, *extra, *finish])

    views = [
        view(224, (0.32, 1.0), T.RandomApply([blur], p=1.0)),
        view(224, (0.32, 1.0), T.RandomApply([blur], p=0.1), T.RandomSolarize(128, p=0.2)),
        *[view(98, (0.05, 0.32), T.RandomApply([blur], p=0.5))] * 8,
    ]

    def make(data: bytes, number: int) -> object:
        del number
        image = Image.open(io.BytesIO(data)).convert("RGB")
        return [transform(image) for transform in views]

    return make


def read_images(folder: Path | None, *, count: int) -> list[bytes]:
    """Return `count` encoded images, repeated if there are fewer."""
    if folder is None:
        return [made_up_photograph(seed) for seed in range(count)]
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    if not paths:
        raise FileNotFoundError(f"{folder}: no JPEGs there")
    stride = max(1, len(paths) // count)
    chosen = paths[::stride]
    return [chosen[i % len(chosen)].read_bytes() for i in range(count)]


def made_up_photograph(seed: int) -> bytes:
    """Draw colour fields at several scales and a few objects, with grain: 500 x 375, quality 90."""
    rng = numpy_generator(seed, "benchmark")
    image = np.zeros((375, 500, 3), np.float32)
    for cells, weight in [(3, 0.5), (9, 0.25), (40, 0.15), (120, 0.1)]:
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        centre = (int(rng.integers(500)), int(rng.integers(375)))
        cv2.circle(image, centre, int(rng.integers(10, 80)), rng.uniform(0, 255, 3).tolist(), -1)
    image += rng.normal(0, 3, image.shape).astype(np.float32)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    encoded: bytes = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return encoded


if __name__ == "__main__":
    main()
