"""NAVI's objects: pictures in the wild with aligned depth (Jampani et al., 2023; v1.0)."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from franca.eval.cameras import motion_between, rotation_angle, unproject
from franca.eval.datasets import choose, digest_selection, opened
from franca.eval.inputs.views import Shot
from franca.randomness import generator

_SIDE = 512  # pixels of an object's square
_EVERY = 4  # Probe3D uses every fourth picture
_WIDEST = 120.0  # degrees between the views of a pair
_MILLIMETRES = 1000.0
_STEPS = 65535 * 10.0  # of the stored inverse depth, per 1 / millimetre
_SEED = 8  # of the pairs: they are the same whatever the seed of the run


@dataclass(frozen=True)
class _Picture:
    image: Path
    depth: Path
    group: str
    focal: float  # pixels of the picture as taken
    short_side: int  # pixels of the picture as taken
    pose: Float[Tensor, "3 4"]


class NaviViews:
    """Pictures of objects, cut to a square around the object; each is compared with one other.

    The other is drawn among the object's pictures seen from within 120 degrees. The reference draws
    in the order in which the file system lists the pictures; ours are sorted, so pairs differ.

    Args:
        root: folder with <object>/<split>/{images/downsampled_<id>.jpg,
            depth/downsampled_<id>.png, annotations.json}.
        split: name of the collection, `wild_set`.
        limit: use at most so many pairs.

    Raises:
        FileNotFoundError: no collection, or a picture or its depth is missing.
        ValueError: no object has two pictures within 120 degrees.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        self._listings = sorted(root.glob(f"*/{split}/annotations.json"))
        if not self._listings:
            raise FileNotFoundError(
                f"expected NAVI as {root}/<object>/{split}/annotations.json; found none"
            )
        objects = [_pictures(listing) for listing in self._listings]
        drawn = [pair for number, views in enumerate(objects) for pair in _draw(views, number)]
        drawn = drawn[::_EVERY]
        if not drawn:
            raise ValueError(f"{root}: no object has two pictures within {_WIDEST:g} degrees")
        self._chosen = choose(len(drawn), limit)
        kept = [drawn[index] for index in self._chosen]
        used = dict.fromkeys(path for pair in kept for path in pair)
        place = {path: number for number, path in enumerate(used)}
        every = {view.image: view for views in objects for view in views}
        self._views = [every[path] for path in used]
        self.pairs = [(place[first], place[second]) for first, second in kept]
        for path in (file for view in self._views for file in (view.image, view.depth)):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: a file that annotations.json implies is missing")

    @property
    def groups(self) -> tuple[str, ...]:
        """The object of each view."""
        return tuple(view.group for view in self._views)

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._views)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, depth, cameras and selection."""
        files = [file for view in self._views for file in (view.image, view.depth)]
        paths = [*files, *self._listings]
        return digest_selection(self._chosen, (("/".join(p.parts[-4:]), p) for p in paths))

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels, the same for all."""
        del index
        return _SIDE, _SIDE

    def image(self, index: int) -> Image.Image:
        """Return one RGB image, cut to the object.

        Raises:
            ValueError: it cannot be read, or its depth is empty.
        """
        view = self._views[index]
        with opened(view.image) as image:
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
        box = _object_box(_centred(_depth(view)), where=str(view.depth))
        return Image.fromarray(_cut(_centred(pixels), box))

    def shot(self, index: int) -> Shot:
        """Return geometry and camera of one view, both of the square around the object."""
        view = self._views[index]
        whole = _centred(_depth(view))
        top, left, side = box = _object_box(whole, where=str(view.depth))
        focal = view.focal * _SIDE / view.short_side
        camera = torch.tensor(
            [[focal, 0, _SIDE / 2], [0, focal, _SIDE / 2], [0, 0, 1]], dtype=torch.float32
        )
        points = unproject(torch.from_numpy(whole), camera)
        scale = _SIDE / side
        to_square = torch.tensor([[scale, 0, -left * scale], [0, scale, -top * scale], [0, 0, 1]])
        cut = torch.from_numpy(_cut(points.permute(1, 2, 0).numpy(), box))
        return Shot(
            points=cut.permute(2, 0, 1).contiguous(),
            intrinsics=to_square @ camera,
            pose=view.pose,
        )


def _pictures(listing: Path) -> list[_Picture]:
    pictures = []
    for row in json.loads(listing.read_text(encoding="utf-8")):
        name = row["filename"].partition(".")[0]
        pictures.append(
            _Picture(
                image=listing.parent / "images" / f"downsampled_{name}.jpg",
                depth=listing.parent / "depth" / f"downsampled_{name}.png",
                group=listing.parent.parent.name,
                focal=row["camera"]["focal_length"],
                short_side=min(row["image_size"]),
                pose=_pose(row["camera"]),
            )
        )
    return sorted(pictures, key=lambda picture: picture.image)


def _pose(camera: dict[str, Any]) -> Float[Tensor, "3 4"]:
    """Return rotation and translation in metres from a quaternion w, x, y, z and millimetres."""
    quaternion = torch.tensor(camera["q"], dtype=torch.float64)
    w, x, y, z = quaternion / quaternion.norm()
    rotation = torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    shift = torch.tensor(camera["t"], dtype=torch.float64)[:, None] / _MILLIMETRES
    return torch.cat([rotation, shift], dim=1).float()


def _draw(views: list[_Picture], number: int) -> list[tuple[Path, Path]]:
    pairs = []
    for index, view in enumerate(views):
        near = [
            other.image
            for other in views
            if other is not view
            and rotation_angle(motion_between(view.pose, other.pose)) <= _WIDEST
        ]
        if near:
            source = generator(_SEED, "evaluate/navi/pairs", number, index)
            pairs.append((view.image, near[int(torch.randint(len(near), (), generator=source))]))
    return pairs


def _depth(view: _Picture) -> NDArray[np.float32]:
    """Return metres, 0 where there is no object; the file holds inverse depth."""
    with opened(view.depth, what="depth map") as image:
        inverse = np.array(image).astype(np.float32) / _STEPS
    unknown = np.zeros_like(inverse)
    found: NDArray[np.float32] = np.divide(
        1 / _MILLIMETRES, inverse, out=unknown, where=inverse > 0
    )
    return found


def _centred(array: NDArray[Any]) -> NDArray[Any]:
    """Shrink the short side to 512 pixels (nearest) and keep the middle square."""
    height, width = (int(_SIDE * side / min(array.shape[:2])) for side in array.shape[:2])
    resized = _nearest(array, (height, width))
    top, left = (height - _SIDE) // 2, (width - _SIDE) // 2
    return resized[top : top + _SIDE, left : left + _SIDE]


def _nearest(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(size, array.shape, strict=False)
    )
    picked: NDArray[Any] = array[rows[:, None], columns]
    return picked


def _object_box(depth: NDArray[np.float32], *, where: str) -> tuple[int, int, int]:
    """Return top, left and side of the square around what has depth, within the picture."""
    places = np.argwhere(depth > 0)
    if not len(places):
        raise ValueError(f"{where}: no depth within the middle square of the picture")
    corner = places.min(0)
    extent = places.max(0) - corner
    side = int(max(extent.max(), 1))
    middle = corner - (side - extent) // 2
    if (middle < 0).any() or (middle + side > depth.shape).any():
        middle = np.maximum(corner - (side - extent), 0)
    return int(middle[0]), int(middle[1]), side


def _cut(array: NDArray[Any], box: tuple[int, int, int]) -> NDArray[Any]:
    top, left, side = box
    return _nearest(array[top : top + side, left : left + side], (_SIDE, _SIDE))
