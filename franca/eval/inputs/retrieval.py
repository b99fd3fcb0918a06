"""Sets for image retrieval: revisited Oxford and Paris, and the rendered pairs as views."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from franca.eval.datasets import choose, decode, digest_selection
from franca.eval.inputs.contracts import Relevant
from franca.eval.inputs.pairs import open_pairs
from franca.eval.store import FeatureStore
from franca.eval.transforms import Square

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


class PathImages:
    """Image files in a given order, each whole or cut to a box."""

    def __init__(self, paths: Sequence[Path], boxes: Sequence[Box | None]) -> None:
        self._paths = list(paths)
        self._boxes = list(boxes)
        for path in self._paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: an image of a retrieval set does not exist")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    def choose(self, rows: Sequence[int]) -> "PathImages":
        """Return some of the images only."""
        return PathImages([self._paths[row] for row in rows], [self._boxes[row] for row in rows])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and the boxes."""
        cells = [box or (0.0,) * 4 for box in self._boxes]
        names = (("/".join(path.parts[-2:]), path) for path in self._paths)
        return digest_selection(np.array([int(64 * x) for box in cells for x in box]), names)

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path, box = self._paths[index], self._boxes[index]
        whole = decode(path)
        if box is None:
            return whole
        left, top, right, bottom = map(round, box)
        return whole.crop((left, top, right, bottom))


@dataclass(frozen=True)
class RetrievalImages:
    """Queries, the images among which they are looked for, and what is right."""

    queries: PathImages
    database: PathImages
    relevant: Sequence[Relevant]

    @property
    def digest(self) -> str:
        """Hash of images, boxes and ground truth."""
        truth = json.dumps([[list(r.easy), list(r.hard), list(r.junk)] for r in self.relevant])
        parts = f"{self.queries.digest} {self.database.digest} {truth}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def choose(self, queries: Sequence[int]) -> "RetrievalImages":
        """Return the same set with some of the queries only."""
        return RetrievalImages(
            queries=self.queries.choose(queries),
            database=self.database,
            relevant=[self.relevant[query] for query in queries],
        )


def descriptors(store: FeatureStore, images: PathImages) -> Float[Tensor, "images dim"]:
    """Return unit CLS tokens, averaged over the sizes that images to be retrieved are seen at.

    As in revisited Oxford and Paris, where three sizes are usual: what is small in one image is
    large in another.
    """
    sizes = [
        normalize(store.cls_tokens(images, transform=Square(side=side)), dim=1)
        for side in store.retrieval_sides
    ]
    return torch.stack(sizes).mean(0)


def open_retrieval(layout: str, root: Path, *, split: str, limit: int | None) -> RetrievalImages:
    """Open a retrieval set by the name of its layout.

    Args:
        layout: `revisited` or `pairs`.
        root: folder of the set.
        split: `roxford5k` or `rparis6k`; of no meaning for pairs.
        limit: use at most so many queries, always the same.

    Raises:
        FileNotFoundError: it is not laid out as expected.
        ValueError: unknown layout, or the ground truth is not what it should be.
    """
    readers = {"revisited": _revisited, "pairs": _views}
    if layout not in readers:
        raise ValueError(f"layout {layout!r} holds no retrieval set: use {sorted(readers)}")
    found = readers[layout](root, split)
    return found.choose(choose(len(found.relevant), limit).tolist())


def _revisited(root: Path, split: str) -> RetrievalImages:
    listing = root / f"gnd_{split}.json"
    if not listing.is_file():
        raise FileNotFoundError(
            f"expected {listing} and {root}/jpg/<image>.jpg; there is no such file: make it of the "
            f"official gnd_{split}.pkl with `franca eval convert`"
        )
    truth: Any = json.loads(listing.read_text(encoding="utf-8"))
    try:
        queries, images, rows = truth["qimlist"], truth["imlist"], truth["gnd"]
        boxes = [_box(*map(float, row["bbx"])) for row in rows]
        relevant = [Relevant(row["easy"], row["hard"], row["junk"]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{listing}: expected imlist, qimlist and gnd with bbx, easy, hard, junk: {error!r}"
        ) from error
    if len(queries) != len(rows):
        raise ValueError(f"{listing}: {len(queries)} queries but ground truth of {len(rows)}")
    return RetrievalImages(
        queries=PathImages([root / "jpg" / f"{name}.jpg" for name in queries], boxes),
        database=PathImages(
            [root / "jpg" / f"{name}.jpg" for name in images], [None] * len(images)
        ),
        relevant=relevant,
    )


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    return left, top, right, bottom


def _views(root: Path, split: str) -> RetrievalImages:
    """Sources look for their targets: another view is easy, another instance of the class hard."""
    rows = open_pairs("pairs", root, split=split, limit=None).rows
    relevant = []
    for number, row in enumerate(rows):
        alike = [i for i, other in enumerate(rows) if other.label == row.label and i != number]
        own = [number]
        seen = row.group == "geometric"
        relevant.append(Relevant(own if seen else [], [] if seen else own, alike))
    whole = [None] * len(rows)
    return RetrievalImages(
        queries=PathImages([row.source for row in rows], whole),
        database=PathImages([row.target for row in rows], whole),
        relevant=relevant,
    )
