"""Pairs of images with corresponding keypoints: the rendered world's, and SPair-71k."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from franca.eval.datasets import choose, decode, digest_selection, image_size


@dataclass(frozen=True)
class PairRow:
    """One pair as labelled.

    Attributes:
        label: class of the object.
        group: what the pair is reported with: "d0" to "d2" by difference of viewpoint in SPair-71k.
        source: path of the first image.
        target: path of the second image.
        source_points: x, y in pixels; those that both images show.
        target_points: the same points in the other image.
        target_extent: longer side of the box of the target's object, in pixels.
    """

    label: str
    group: str
    source: Path
    target: Path
    source_points: Float[np.ndarray, "points 2"]
    target_points: Float[np.ndarray, "points 2"]
    target_extent: float


class PairImages:
    """The images of pairs, source and target in turn, and their points.

    Args:
        rows: the pairs, and the file of each one's labels.
        limit: use at most so many pairs.
    """

    def __init__(self, rows: Sequence[tuple[PairRow, Path]], *, limit: int | None) -> None:
        self._chosen = choose(len(rows), limit)
        self.rows = [rows[index][0] for index in self._chosen]
        self._labels = [rows[index][1] for index in self._chosen]
        self._paths = [path for row in self.rows for path in (row.source, row.target)]
        for path in self._paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: the image of a pair does not exist")

    def __len__(self) -> int:
        """Return the number of images, twice that of pairs."""
        return len(self._paths)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, labels and selection."""
        paths = dict.fromkeys([*self._paths, *self._labels])  # images are in many pairs
        return digest_selection(self._chosen, (("/".join(p.parts[-2:]), p) for p in paths))

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of an image in pixels."""
        return image_size(self._paths[index])

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._paths[index]
        return decode(path)


def open_pairs(layout: str, root: Path, *, split: str, limit: int | None) -> PairImages:
    """Open pairs by the name of their layout.

    Raises:
        FileNotFoundError: they are not laid out as expected.
        ValueError: unknown layout, or no pair.
    """
    readers = {"pairs": _rendered, "spair": _spair}
    if layout not in readers:
        raise ValueError(f"layout {layout!r} holds no pairs: use {sorted(readers)}")
    rows = readers[layout](root, split)
    if not rows:
        raise ValueError(f"{root}: lists no pair")
    return PairImages(rows, limit=limit)


def _rendered(root: Path, split: str) -> list[tuple[PairRow, Path]]:
    del split  # there is one
    listing = root / "pairs.json"
    if not listing.is_file():
        raise FileNotFoundError(f"expected the rendered pairs; {listing} does not exist")
    rows = []
    for row in json.loads(listing.read_text(encoding="utf-8")):
        with np.load(root / row["points"], allow_pickle=False) as points:
            x0, y0, x1, y1 = points["target_box"]
            pair = PairRow(
                label=row["class"],
                group=row["kind"],
                source=root / row["source"],
                target=root / row["target"],
                source_points=points["source"].astype(np.float64),
                target_points=points["target"].astype(np.float64),
                target_extent=float(max(x1 - x0, y1 - y0)),
            )
        rows.append((pair, root / row["points"]))
    return rows


def _spair(root: Path, split: str) -> list[tuple[PairRow, Path]]:
    listing = root / "Layout" / "large" / f"{split}.txt"
    if not listing.is_file():
        raise FileNotFoundError(f"expected the layout of SPair-71k; {listing} does not exist")
    rows = []
    for name in listing.read_text(encoding="utf-8").split():
        labels = root / "PairAnnotation" / split / f"{name.replace(':', '-')}.json"
        if not labels.is_file():
            labels = labels.with_name(f"{name}.json")
        if not labels.is_file():
            raise FileNotFoundError(f"expected the layout of SPair-71k; {labels} does not exist")
        rows.append((_spair_row(root, json.loads(labels.read_text(encoding="utf-8"))), labels))
    return rows


def _spair_row(root: Path, pair: dict[str, Any]) -> PairRow:
    images = root / "JPEGImages" / pair["category"]
    x0, y0, x1, y1 = pair["trg_bndbox"]
    return PairRow(
        label=pair["category"],
        group=f"d{pair['viewpoint_variation']}",
        source=images / pair["src_imname"],
        target=images / pair["trg_imname"],
        source_points=np.array(pair["src_kps"], dtype=np.float64).reshape(-1, 2),
        target_points=np.array(pair["trg_kps"], dtype=np.float64).reshape(-1, 2),
        target_extent=float(max(x1 - x0, y1 - y0)),
    )
