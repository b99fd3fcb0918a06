"""Folders in the layouts of known data sets: Hugging Face parquet, PASCAL VOC, DAVIS-2017.

Fixed encoder settings and one row order make the bytes repeat.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Shaped, UInt8
from PIL import Image

VOID = 255
ROW_GROUP = 1024


def encode(
    image: UInt8[np.ndarray, "height width 3"], *, encoder: str = "JPEG", quality: int
) -> bytes:
    """Encode an image; PNG ignores the quality."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=encoder, quality=quality)
    return buffer.getvalue()


def sketch(image: bytes, *, quality: int) -> bytes:
    """Redraw an encoded image as dark lines on white, where its brightness changes."""
    with Image.open(io.BytesIO(image)) as decoded:
        grey = np.asarray(decoded.convert("L"), dtype=np.float32)
    down, right = np.gradient(grey)
    lines = np.hypot(down, right)
    strength = lines / max(float(np.quantile(lines, 0.98)), 1.0)
    shade = (255 * (1 - strength.clip(0, 1))).astype(np.uint8)
    return encode(np.repeat(shade[..., None], 3, axis=-1), quality=quality)


def encode_array(array: Shaped[np.ndarray, "..."]) -> bytes:
    """Encode an array as npy."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


@cache
def palette() -> bytes:
    """Return PASCAL VOC's colours for ids 0 to 255: bits of the id spread over R, G and B."""
    colors = []
    for index in range(256):
        for channel in range(3):
            bits = [(index >> (3 * place + channel)) & 1 for place in range(3)]
            colors.append(sum(bit << (7 - place) for place, bit in enumerate(bits)))
    return bytes(colors)


def encode_mask(mask: UInt8[np.ndarray, "height width"]) -> bytes:
    """Encode a mask of ids as an indexed PNG."""
    height, width = mask.shape
    indexed = Image.frombytes("P", (width, height), mask.tobytes())
    indexed.putpalette(palette())
    buffer = io.BytesIO()
    indexed.save(buffer, format="PNG")
    return buffer.getvalue()


def void_borders(
    mask: UInt8[np.ndarray, "height width"], instance: UInt8[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width"]:
    """Set the pixels above and left of a change of instance to 255, as VOC's outlines."""
    outline = np.zeros(mask.shape, bool)
    outline[:, :-1] |= instance[:, :-1] != instance[:, 1:]
    outline[:-1] |= instance[:-1] != instance[1:]
    return np.where(outline, np.uint8(VOID), mask)


def write_classification(
    path: Path, images: Sequence[bytes], labels: Sequence[int], names: Sequence[str]
) -> None:
    """Write encoded images and labels as `datasets` would: Image and ClassLabel features."""
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(names), "_type": "ClassLabel"},
    }
    members = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": image, "path": f"{row:06d}.jpg"} for row, image in enumerate(images)]
    table = pa.table(
        {"image": pa.array(rows, members), "label": pa.array(labels, pa.int64())}
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="none", row_group_size=ROW_GROUP)


@dataclass(frozen=True)
class LabelledImage:
    """Encoded files of one image of the segmentation set."""

    image: bytes
    semantic: bytes
    instance: bytes
    depth: bytes
    normals: bytes


VOC_FOLDERS = (
    ("image", "JPEGImages", "jpg"),
    ("semantic", "SegmentationClass", "png"),
    ("instance", "SegmentationObject", "png"),
    ("depth", "Depth", "npy"),
    ("normals", "Normals", "npy"),
)


def write_segmentation(
    root: Path, splits: Mapping[str, Mapping[str, LabelledImage]], names: Sequence[str]
) -> None:
    """Write PASCAL VOC's folders, and Depth (metres) and Normals (camera frame) beside them.

    JPEGImages/<name>.jpg  SegmentationClass/<name>.png  SegmentationObject/<name>.png
    Depth/<name>.npy  Normals/<name>.npy  ImageSets/Segmentation/<split>.txt  classes.txt
    """
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for _, folder, _ in VOC_FOLDERS:
        (root / folder).mkdir()
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    for split, members in splits.items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in members))
        for name, files in members.items():
            for field, folder, suffix in VOC_FOLDERS:
                (root / folder / f"{name}.{suffix}").write_bytes(getattr(files, field))


def write_videos(root: Path, sequences: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> None:
    """Write DAVIS-2017's folders; frames are small, the folder is called 480p as everywhere.

    JPEGImages/480p/<name>/<frame>.jpg  Annotations/480p/<name>/<frame>.png
    ImageSets/2017/val.txt
    """
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(f"{name}\n" for name in sequences))
    for name, frames in sequences.items():
        images = root / "JPEGImages" / "480p" / name
        masks = root / "Annotations" / "480p" / name
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for number, (image, mask) in enumerate(frames):
            (images / f"{number:05d}.jpg").write_bytes(image)
            (masks / f"{number:05d}.png").write_bytes(mask)


@dataclass(frozen=True)
class EncodedPair:
    """Encoded images of a pair, and the arrays of its npz."""

    kind: str
    label: str
    source: bytes
    target: bytes
    points: dict[str, np.ndarray]


def write_pairs(root: Path, pairs: Sequence[EncodedPair]) -> None:
    """Write pairs of images with corresponding points.

        pairs.json  JPEGImages/<name>_{source,target}.jpg  correspondences/<name>.npz

    Each npz holds `source` and `target` (points [N, 2]: x, y in pixels, the middle of the top left
    pixel at 0.5, 0.5) and `source_box` and `target_box` (x0, y0, x1, y1 of what is labelled).
    """
    (root / "JPEGImages").mkdir(parents=True)
    (root / "correspondences").mkdir()
    index = []
    for number, pair in enumerate(pairs):
        name = f"{pair.kind}_{number:04d}"
        row = {
            "name": name,
            "kind": pair.kind,
            "class": pair.label,
            "source": f"JPEGImages/{name}_source.jpg",
            "target": f"JPEGImages/{name}_target.jpg",
            "points": f"correspondences/{name}.npz",
        }
        (root / row["source"]).write_bytes(pair.source)
        (root / row["target"]).write_bytes(pair.target)
        np.savez(root / row["points"], allow_pickle=False, **pair.points)
        index.append(row)
    (root / "pairs.json").write_text(json.dumps(index, indent=1) + "\n")


@dataclass(frozen=True)
class EncodedView:
    """Encoded files of one view of a scene, and its camera as plain numbers."""

    image: bytes
    depth: bytes
    camera: dict[str, Any]


def write_views(root: Path, scenes: Mapping[str, Sequence[EncodedView]]) -> None:
    """Write views of scenes with depth and cameras.

        <scene>/images/<view>.png  <scene>/depth/<view>.npy  <scene>/cameras.json

    Depth is metres along the optical axis. cameras.json lists for each view `focal` (pixels),
    `center` (x, y in pixels, the middle of the top left pixel at 0.5, 0.5), and `rotation` and
    `translation` from world to camera (x right, y down, z forward, metres).
    """
    for name, views in scenes.items():
        folder = root / name
        (folder / "images").mkdir(parents=True)
        (folder / "depth").mkdir()
        for number, view in enumerate(views):
            (folder / "images" / f"{number:03d}.png").write_bytes(view.image)
            (folder / "depth" / f"{number:03d}.npy").write_bytes(view.depth)
        cameras = {f"{number:03d}": view.camera for number, view in enumerate(views)}
        (folder / "cameras.json").write_text(json.dumps(cameras, indent=1) + "\n")
