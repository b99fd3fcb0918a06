"""Small evaluation sets on disk, and a model that needs no training."""

import io
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from franca.data.scenes.layouts import EncodedPair, EncodedView, encode, encode_array

CLASSES = ("disc", "square", "stripes")


def picture(rng, size=16):
    return Image.fromarray(rng.integers(256, size=(size, size, 3), dtype=np.uint8))


def encoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(root, split, labels, *, names=CLASSES, part="00000-of-00001", seed=0, rows=4):
    """Write a split in Hugging Face's layout, several row groups to a file."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    images = [{"bytes": encoded(picture(rng)), "path": f"{i}.png"} for i in range(len(labels))]
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pa.table({"image": images, "label": list(labels)}, schema=schema)
    pq.write_table(table, root / f"{split}-{part}.parquet", row_group_size=rows)
    return [Image.open(io.BytesIO(image["bytes"])) for image in images]


def write_folder(root, split, counts, *, seed=0):
    """Write <root>/<split>/<class>/<number>.png."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        folder = root / split / name
        folder.mkdir(parents=True)
        for number in range(count):
            picture(rng).save(folder / f"{number}.png")


def write_voc(root, splits, *, size=16, classes=3, geometry=True, seed=0):
    """Write a PASCAL VOC set with a void border, instances and, if asked, depth and normals."""
    rng = np.random.default_rng(seed)
    for folder in (
        "JPEGImages",
        "SegmentationClass",
        "SegmentationObject",
        "ImageSets/Segmentation",
    ):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("".join(f"class{i}\n" for i in range(classes)))
    for split, count in splits.items():
        names = [f"{split}_{i}" for i in range(count)]
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            picture(rng, size).save(root / "JPEGImages" / f"{name}.jpg")
            mask = rng.integers(classes, size=(size, size), dtype=np.uint8)
            mask[0] = 255
            Image.fromarray(mask).save(root / "SegmentationClass" / f"{name}.png")
            instances = np.zeros((size, size), np.uint8)
            instances[size // 4 : size // 2, size // 4 : size // 2] = 1
            Image.fromarray(instances).save(root / "SegmentationObject" / f"{name}.png")
            if geometry:
                _write_geometry(root, name, rng, size)


def _write_geometry(root, name, rng, size):
    for folder in ("Depth", "Normals"):
        (root / folder).mkdir(exist_ok=True)
    depth = rng.uniform(1, 5, size=(size, size)).astype(np.float16)
    depth[:4, :4] = 0  # nothing there
    np.save(root / "Depth" / f"{name}.npy", depth)
    normals = rng.normal(size=(size, size, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    np.save(root / "Normals" / f"{name}.npy", normals.astype(np.float16))


def write_videos(root, lengths, *, seed=0):
    """Write sequences in DAVIS-2017's layout: an object that moves over noise, 24x20 pixels."""
    rng = np.random.default_rng(seed)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("".join(f"{name}\n" for name in lengths))
    for name, frames in lengths.items():
        for folder in ("JPEGImages", "Annotations"):
            (root / folder / "480p" / name).mkdir(parents=True)
        for frame in range(frames):
            pixels = rng.integers(256, size=(24, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"JPEGImages/480p/{name}/{frame:05d}.jpg")
            mask = np.zeros((24, 20), np.uint8)
            mask[4:12, frame : frame + 8] = 1
            Image.fromarray(mask).save(root / f"Annotations/480p/{name}/{frame:05d}.png")


@dataclass
class Tokens:
    cls: torch.Tensor
    patches: torch.Tensor


class PixelModel:
    """Its patch tokens are the pixels of a 4x4 patch; CLS is their mean. Counts forward passes."""

    embed_dim = 48
    patch_size = 4

    def __init__(self):
        self.passes = 0

    def forward_features(self, images):
        self.passes += 1
        tiles = images.unfold(2, 4, 4).unfold(3, 4, 4)
        patches = tiles.permute(0, 2, 3, 1, 4, 5).flatten(1, 2).flatten(2)
        return Tokens(cls=patches.mean(1), patches=patches)


class BlockModel(PixelModel):
    """Also shows earlier blocks: scaled copies of the last."""

    depth = 4

    def forward_intermediate(self, images, blocks, *, norm):
        assert norm
        last = self.forward_features(images)
        return [Tokens(last.cls * (i + 1), last.patches * (i + 1)) for i in range(blocks)]


def rendered_pair(seed):
    """A pair of noise of 16x16 pixels with three corresponding points."""
    rng = np.random.default_rng(seed)
    images = [
        encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), quality=90) for _ in range(2)
    ]
    points = {name: rng.uniform(0, 16, (3, 2)) for name in ("source", "target")}
    boxes = {f"{name}_box": np.array([2, 2, 14, 12]) for name in ("source", "target")}
    return EncodedPair(
        kind=("semantic", "geometric")[seed % 2],
        label=("ball", "cube")[seed // 2 % 2],
        source=images[0],
        target=images[1],
        points=points | boxes,
    )


def seen_wall(seed, *, views=3):
    """Views of noise on a wall two metres away, the camera moving a little to the right."""
    rng = np.random.default_rng(seed)
    return [
        EncodedView(
            image=encode(
                rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), encoder="PNG", quality=90
            ),
            depth=encode_array(np.full((16, 16), 2, np.float32)),
            camera={
                "focal": 16.0,
                "center": [8.0, 8.0],
                "rotation": np.eye(3).tolist(),
                "translation": [-0.1 * number, 0.0, 0.0],
            },
        )
        for number in range(views)
    ]
