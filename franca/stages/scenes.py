"""Stage scenes: render the embedded world, so that everything runs without a network.

    origin/        what a web server on the loopback serves, its table of URLs, planted faults
    objects/       classification, Hugging Face parquet
    sketches/      its validation images as lines, all classes but the first, the same layout
    novel/         the same, with classes seen nowhere else: splits near and far
    segmentation/  masks, instances, depth and normals, PASCAL VOC layout
    videos/        tracked masks, DAVIS-2017 layout
    pairs/         images with corresponding points
    views/         scenes from several sides, with depth and cameras

Every sample is a function of the seed and its own number: neither the number of processes nor the
number of samples changes any of them.
"""

import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from franca.config.scenes import Scenes
from franca.data.scenes.compose import CLASSES, FAR_CLASSES, NEAR_CLASSES
from franca.data.scenes.faults import Origin, Original, num_fresh, plant_all
from franca.data.scenes.layouts import (
    EncodedPair,
    EncodedView,
    LabelledImage,
    encode,
    encode_array,
    encode_mask,
    sketch,
    void_borders,
    write_classification,
    write_pairs,
    write_segmentation,
    write_videos,
    write_views,
)
from franca.data.scenes.metadata import caption, write_metadata
from franca.data.scenes.render import Rendering
from franca.data.scenes.samples import (
    Canvas,
    geometric_pair,
    group_image,
    semantic_pair,
    single_image,
    video,
    views,
)
from franca.randomness import numpy_generator

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
# Shares of training images that are not JPEG, as on the web.
FORMATS = {"png": ("PNG", 0.02), "webp": ("WEBP", 0.02)}


def run(
    cfg: Scenes, *, seed: int, inputs: Mapping[str, Path], output: Path, work: Path
) -> dict[str, Any]:
    """Render every set whose number is not zero; return how many samples each has."""
    del inputs, work
    leaks = [
        *_write_objects(cfg, seed=seed, output=output),
        *_write_segmentation(cfg, seed=seed, output=output),
    ]
    _write_videos(cfg, seed=seed, output=output)
    _write_pairs(cfg, seed=seed, output=output)
    _write_views(cfg, seed=seed, output=output)
    origin = _write_origin(cfg, seed=seed, output=output, evaluation=leaks)
    logger.info("rendered %d training images", cfg.num_train)
    return {
        "origin_rows": len(origin.rows),
        "origin_files": len(origin.files),
        "planted": {kind: len(rows) for kind, rows in sorted(origin.planted.items())},
        "objects": [cfg.num_objects_train, cfg.num_objects_val],
        "novel": 2 * cfg.num_novel,
        "segmentation": [cfg.num_segmentation_train, cfg.num_segmentation_val],
        "videos": cfg.num_videos,
        "pairs": 2 * cfg.num_pairs,
        "views": cfg.num_scenes * cfg.num_views,
    }


def num_workers() -> int:
    """Cores this process may use: a fact of the machine, never a parameter."""
    return len(os.sched_getaffinity(0))


def _render_all(what: str, render: Callable[[int], Result], count: int) -> list[Result]:
    """Apply a picklable function to 0, 1, ..., count - 1, on several processes, in order."""
    bar = partial(tqdm, desc=f"scenes: {what}", total=count, unit="sample")
    workers = num_workers()
    if workers == 1 or count < 2 * workers:
        return list(bar(map(render, range(count))))
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return list(bar(pool.imap(render, range(count), chunksize=8)))


def _square(cfg: Scenes) -> Canvas:
    return Canvas(cfg.image_size, cfg.image_size, cfg.supersample)


def _object(cfg: Scenes, seed: int, purpose: str, names: Sequence[str], index: int) -> bytes:
    """Render object `index`; classes take turns, so that every split is balanced."""
    label = index % len(names) + 1
    rendering = single_image(seed, purpose, index, label=label, names=names, canvas=_square(cfg))
    return encode(rendering.image, quality=cfg.jpeg_quality)


def _write_objects(cfg: Scenes, *, seed: int, output: Path) -> list[Original]:
    """Write objects/ and novel/; return the validation images, which training must not see."""
    validation: list[bytes] = []
    for folder, split, count, names in (
        ("objects", "train", cfg.num_objects_train, CLASSES),
        ("objects", "val", cfg.num_objects_val, CLASSES),
        ("novel", "near", cfg.num_novel, NEAR_CLASSES),
        ("novel", "far", cfg.num_novel, FAR_CLASSES),
    ):
        if count == 0:
            continue
        purpose = f"scenes/{folder}/{split}"
        images = _render_all(
            f"{folder} {split}", partial(_object, cfg, seed, purpose, names), count
        )
        labels = [index % len(names) for index in range(count)]
        path = output / folder / f"{split}-00000-of-00001.parquet"
        write_classification(path, images, labels, names)
        if (folder, split) == ("objects", "val"):
            validation = images
            _write_sketches(cfg, images, labels, output=output)
    return [
        Original(f"objects/val:{index}", image, CLASSES[index % len(CLASSES)])
        for index, image in enumerate(validation)
    ]


def _write_sketches(
    cfg: Scenes, images: Sequence[bytes], labels: Sequence[int], *, output: Path
) -> None:
    """Write sketches/: images unlike those of objects/, of all their classes but the first."""
    kept = [(image, label - 1) for image, label in zip(images, labels, strict=True) if label]
    write_classification(
        output / "sketches" / "val-00000-of-00001.parquet",
        [sketch(image, quality=cfg.jpeg_quality) for image, _ in kept],
        [label for _, label in kept],
        CLASSES[1:],
    )


def _labelled(cfg: Scenes, seed: int, purpose: str, index: int) -> LabelledImage:
    rendering = group_image(seed, purpose, index, canvas=_square(cfg))
    instance = rendering.instance
    return LabelledImage(
        image=encode(rendering.image, quality=cfg.jpeg_quality),
        semantic=encode_mask(void_borders(rendering.semantic, instance)),
        instance=encode_mask(void_borders(instance, instance)),
        depth=encode_array(rendering.depth.astype(np.float16)),
        normals=encode_array(rendering.normals.astype(np.float16)),
    )


def _write_segmentation(cfg: Scenes, *, seed: int, output: Path) -> list[Original]:
    """Write segmentation/; return its validation images."""
    splits: dict[str, dict[str, LabelledImage]] = {}
    for split, count in (
        ("train", cfg.num_segmentation_train),
        ("val", cfg.num_segmentation_val),
    ):
        purpose = f"scenes/segmentation/{split}"
        images = _render_all(f"segmentation {split}", partial(_labelled, cfg, seed, purpose), count)
        splits[split] = {f"{split}_{index:06d}": image for index, image in enumerate(images)}
    if splits["val"]:
        write_segmentation(output / "segmentation", splits, ("background", *CLASSES))
    return [
        Original(f"segmentation:{name}", files.image, "some things in a room")
        for name, files in splits["val"].items()
    ]


def _video(cfg: Scenes, seed: int, index: int) -> list[tuple[bytes, bytes]]:
    canvas = Canvas(cfg.video_size, cfg.video_size, cfg.supersample)
    frames = video(seed, "scenes/videos", index, num_frames=cfg.num_frames, canvas=canvas)
    return [
        (encode(frame.image, quality=cfg.jpeg_quality), encode_mask(frame.instance))
        for frame in frames
    ]


def _write_videos(cfg: Scenes, *, seed: int, output: Path) -> None:
    videos = _render_all("videos", partial(_video, cfg, seed), cfg.num_videos)
    if videos:
        named = {f"drift-{index:03d}": frames for index, frames in enumerate(videos)}
        write_videos(output / "videos", named)


def _box(rendering: Rendering) -> np.ndarray:
    """Return x0, y0, x1, y1 of everything labelled, pixels."""
    rows, columns = np.nonzero(rendering.semantic)
    corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array(corners, np.float32)


def _pair(cfg: Scenes, seed: int, kind: str, index: int) -> EncodedPair:
    purpose, canvas = f"scenes/pairs/{kind}", _square(cfg)
    label = index % len(CLASSES) + 1
    if kind == "semantic":
        pair = semantic_pair(seed, purpose, index, label=label, canvas=canvas)
    else:
        pair = geometric_pair(seed, purpose, index, canvas=canvas)
    return EncodedPair(
        kind=kind,
        label=CLASSES[label - 1] if kind == "semantic" else "scene",
        source=encode(pair.source.image, quality=cfg.jpeg_quality),
        target=encode(pair.target.image, quality=cfg.jpeg_quality),
        points={
            "source": pair.source_points,
            "target": pair.target_points,
            "source_box": _box(pair.source),
            "target_box": _box(pair.target),
        },
    )


def _write_pairs(cfg: Scenes, *, seed: int, output: Path) -> None:
    pairs = [
        pair
        for kind in ("semantic", "geometric")
        for pair in _render_all(f"{kind} pairs", partial(_pair, cfg, seed, kind), cfg.num_pairs)
    ]
    if pairs:
        write_pairs(output / "pairs", pairs)


def _views(cfg: Scenes, seed: int, index: int) -> list[EncodedView]:
    canvas = _square(cfg)
    return [
        EncodedView(
            image=encode(shot.image, encoder="PNG", quality=cfg.jpeg_quality),
            depth=encode_array(shot.depth.astype(np.float32)),
            camera={
                "focal": camera.focal * cfg.image_size,
                # Depth is that of the first ray of a pixel, which is not in its middle.
                "center": (cfg.image_size / 2 + 0.5 - shot.positions[0, 0].astype(float)).tolist(),
                "rotation": camera.rotation.tolist(),
                "translation": (-camera.rotation @ camera.position).tolist(),
            },
        )
        for shot, camera in views(
            seed, "scenes/views", index, num_views=cfg.num_views, canvas=canvas
        )
    ]


def _write_views(cfg: Scenes, *, seed: int, output: Path) -> None:
    rendered = _render_all("views", partial(_views, cfg, seed), cfg.num_scenes)
    if rendered:
        write_views(output / "views", {f"scene-{i:03d}": one for i, one in enumerate(rendered)})


def _web_image(cfg: Scenes, seed: int, purpose: str, index: int) -> Original:
    """Render a training image: of one object or several, sometimes not square, rarely not JPEG."""
    rng = numpy_generator(seed, f"{purpose}/form", index)
    sides = [cfg.image_size, cfg.image_size]
    if rng.uniform() < cfg.wide_share:
        sides[rng.integers(2)] = round(cfg.image_size * rng.uniform(1.1, 1.5))
    canvas = Canvas(sides[0], sides[1], cfg.supersample)
    label = int(rng.integers(1, len(CLASSES) + 1))
    if rng.uniform() < cfg.single_share:
        rendering = single_image(seed, purpose, index, label=label, names=CLASSES, canvas=canvas)
    else:
        rendering = group_image(seed, purpose, index, canvas=canvas)
    draw = rng.uniform()
    suffix, encoder = "jpg", "JPEG"
    for other, (name, share) in FORMATS.items():
        if 0 <= draw < share:
            suffix, encoder = other, name
        draw -= share
    shown = [CLASSES[label - 1] for label in np.unique(rendering.semantic) if label > 0]
    return Original(
        name=f"{purpose.rsplit('/', 1)[-1]}-{index:06d}.{suffix}",
        content=encode(rendering.image, encoder=encoder, quality=cfg.jpeg_quality),
        caption=caption(seed, purpose, index, shown),
    )


def _write_origin(
    cfg: Scenes, *, seed: int, output: Path, evaluation: Sequence[Original]
) -> Origin:
    """Write origin/: table, images, what the server does wrong and what was planted."""
    origin = Origin()
    folder = output / "origin"
    (folder / "images").mkdir(parents=True)
    training = _render_all(
        "training images", partial(_web_image, cfg, seed, "scenes/photo"), cfg.num_train
    )
    for original in training:
        origin.add(original)
    each = round(cfg.fault_share * cfg.num_train)
    if each:
        fresh = _render_all(
            "faults", partial(_web_image, cfg, seed, "scenes/item"), num_fresh(each)
        )
        plant_all(origin, each=each, fresh=fresh, training=training, evaluation=evaluation)
    _write_files(folder / "images", origin.files.items())
    write_metadata(folder / "metadata.parquet", origin.rows, seed=seed)
    for name, content in (("faults", origin.faults), ("planted", {"kinds": origin.planted})):
        text = json.dumps(content, indent=1, sort_keys=True)
        (folder / f"{name}.json").write_text(text + "\n")
    return origin


def _write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    for name, content in files:
        (folder / name).write_bytes(content)
