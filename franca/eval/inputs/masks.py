"""The segmentation sets as their authors lay them out: one row of `MASK_LAYOUTS` each.

ADE20K names its parts training and validation, COCO train2017 and val2017, Cityscapes train and
val. `ade20k` are the 150 classes of the challenge, the rest being void (255): mmsegmentation's
`reduce_zero_label`. `ade20k_other` keeps the numbers of the files, 0 for the rest, which is void
by `ignore_index: 0` but still one of 151 classes in Hummingbird's and NeCo's mean.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from franca.eval.datasets import opened
from franca.eval.masked import VOC, Masked, MaskLayout, indexed_mask

_VOID: Final = 255
_STUFF_VOID: Final = (0, 183)  # nothing labelled, and "other", which is all things
_CITYSCAPES: Final = (  # of its 34 labels those that are scored, in the order of their classes
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
)  # fmt: skip


def _table(classes: Mapping[int, int]) -> UInt8[np.ndarray, " 256"]:
    """Return the class of every number that a mask may hold; void where it has none."""
    table = np.full(256, _VOID, dtype=np.uint8)
    for number, found in classes.items():
        table[number] = found
    return table


def _looked_up(path: Path, *, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    classes: NDArray[np.uint8] = table[indexed_mask(path)]
    return classes


def _listing(folder: Path, pattern: str) -> list[Path]:
    """Return files of a folder by name.

    Raises:
        FileNotFoundError: there is no such folder; one without files is an empty split.
    """
    next(folder.iterdir(), None)
    return sorted(folder.glob(pattern))


def _json(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return json.load(file)


def _ade20k_files(root: Path, split: str) -> list[tuple[str, Path, Path]]:
    masks = root / "annotations" / split
    images = _listing(root / "images" / split, "*.jpg")
    return [(path.stem, path, masks / f"{path.stem}.png") for path in images]


def _ade20k(root: Path, split: str) -> Masked:
    table = _table({number: number - 1 for number in range(1, 151)})
    return Masked(_ade20k_files(root, split), partial(_looked_up, table=table), "reduce_zero_label")


def _ade20k_other(root: Path, split: str) -> Masked:
    return Masked(_ade20k_files(root, split))


def _cityscapes(root: Path, split: str) -> Masked:
    files = []
    for path in _listing(root / "leftImg8bit" / split, "*/*_leftImg8bit.png"):
        name = path.name.removesuffix("_leftImg8bit.png")
        mask = root / "gtFine" / split / path.parent.name / f"{name}_gtFine_labelIds.png"
        files.append((name, path, mask))
    table = _table({number: place for place, number in enumerate(_CITYSCAPES)})
    return Masked(files, partial(_looked_up, table=table), "19 classes")


def _supercategories(categories: list[dict[str, Any]]) -> dict[int, int]:
    """Number the supercategories of some categories in alphabetical order."""
    names = sorted({row["supercategory"] for row in categories})
    return {row["id"]: names.index(row["supercategory"]) for row in categories}


def _coco_stuff(root: Path, split: str) -> Masked:
    """The 15 supercategories of stuff; the categories are read from the smaller file, val2017."""
    stuff = [
        row
        for row in _json(root / "annotations" / "stuff_val2017.json")["categories"]
        if row["id"] not in _STUFF_VOID
    ]
    masks = root / "annotations" / f"stuff_{split}_pixelmaps"
    images = _listing(root / split, "*.jpg")
    files = [(path.stem, path, masks / f"{path.stem}.png") for path in images]
    table = _table(_supercategories(stuff))
    return Masked(files, partial(_looked_up, table=table), "stuff supercategories")


class _PanopticThings:
    """Reads the 12 supercategories of things from panoptic masks; stuff is void."""

    def __init__(self, panoptic: dict[str, Any]) -> None:
        things = [row for row in panoptic["categories"] if row["isthing"]]
        self._classes = _supercategories(things)
        self.names = [row["file_name"] for row in panoptic["annotations"]]
        self._segments = {
            row["file_name"]: [(each["id"], each["category_id"]) for each in row["segments_info"]]
            for row in panoptic["annotations"]
        }

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """Return the classes of the pixels; a segment's number is red + 256 green + 65,536 blue."""
        with opened(path, what="mask") as image:
            colours = np.array(image.convert("RGB"), dtype=np.uint32)
        numbers = colours @ np.array([1, 256, 65536], dtype=np.uint32)
        classes = np.full(numbers.shape, _VOID, dtype=np.uint8)
        for number, category in self._segments[path.name]:
            if category in self._classes:
                classes[numbers == number] = self._classes[category]
        return classes


def _coco_things(root: Path, split: str) -> Masked:
    folder = root / "annotations" / f"panoptic_{split}"
    things = _PanopticThings(_json(folder.with_suffix(".json")))
    files = [
        (name, root / split / Path(name).with_suffix(".jpg"), folder / name)
        for name in sorted(things.names)
    ]
    return Masked(files, things, "thing supercategories")


_ADE20K = "ADEChallengeData2016: images/<split>/<name>.jpg and annotations/<split>/<name>.png"
MASK_LAYOUTS: Final[Mapping[str, MaskLayout]] = {
    "voc": VOC,
    "ade20k": MaskLayout(_ade20k, _ADE20K),
    "ade20k_other": MaskLayout(_ade20k_other, _ADE20K),
    "cityscapes": MaskLayout(
        _cityscapes,
        "Cityscapes: leftImg8bit/<split>/<city>/<name>_leftImg8bit.png and "
        "gtFine/<split>/<city>/<name>_gtFine_labelIds.png",
    ),
    "coco_stuff": MaskLayout(
        _coco_stuff,
        "COCO: <split>/<image>.jpg, annotations/stuff_val2017.json and "
        "annotations/stuff_<split>_pixelmaps/<image>.png",
    ),
    "coco_things": MaskLayout(
        _coco_things,
        "COCO: <split>/<image>.jpg, annotations/panoptic_<split>.json and "
        "annotations/panoptic_<split>/<image>.png",
    ),
}
