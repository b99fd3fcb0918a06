"""Scenes of this project's world from several sides."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from franca.eval.cameras import unproject
from franca.eval.datasets import choose, decode, digest_selection, image_size, read_array
from franca.eval.inputs.views import Shot


class RenderedViews:
    """Scenes of this project's world, all views of each; the first one is compared with the others.

    Args:
        root: folder with <scene>/images/<view>.png, <scene>/depth/<view>.npy (metres) and
            <scene>/cameras.json (see `franca.data.scenes.layouts.write_views`).
        split: unused.
        limit: use at most so many scenes.

    Raises:
        FileNotFoundError: no scene, or a file of one is missing.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        del split  # there is one
        listings = sorted(root.glob("*/cameras.json"))
        if not listings:
            raise FileNotFoundError(f"expected views as {root}/<scene>/cameras.json; found none")
        self._chosen = choose(len(listings), limit)
        self._listings = [listings[index] for index in self._chosen]
        self._views: list[tuple[Path, str, dict[str, Any]]] = []
        self.scenes: list[range] = []
        for listing in self._listings:
            cameras = json.loads(listing.read_text(encoding="utf-8"))
            start = len(self._views)
            self._views += [(listing.parent, name, cameras[name]) for name in sorted(cameras)]
            self.scenes.append(range(start, len(self._views)))
        self._images = [folder / "images" / f"{name}.png" for folder, name, _ in self._views]
        self._depth = [folder / "depth" / f"{name}.npy" for folder, name, _ in self._views]
        for path in (*self._images, *self._depth):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: a view that cameras.json lists does not exist")

    @property
    def groups(self) -> tuple[str, ...]:
        """The scene of each view."""
        return tuple(folder.name for folder, _, _ in self._views)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The first view of each scene with every other."""
        return [(scene[0], other) for scene in self.scenes for other in scene[1:]]

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._views)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, depth, cameras and selection."""
        paths = [*self._images, *self._depth, *self._listings]
        return digest_selection(self._chosen, (("/".join(p.parts[-3:]), p) for p in paths))

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels."""
        return image_size(self._images[index])

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._images[index]
        return decode(path)

    def shot(self, index: int) -> Shot:
        """Return geometry and camera of one view."""
        camera = self._views[index][2]
        intrinsics = torch.eye(3)
        intrinsics[0, 0] = intrinsics[1, 1] = camera["focal"]
        intrinsics[:2, 2] = torch.tensor(camera["center"])
        rotation = torch.tensor(camera["rotation"])
        translation = torch.tensor(camera["translation"])
        depth = read_array(self._depth[index])
        return Shot(
            points=unproject(torch.from_numpy(depth), intrinsics),
            intrinsics=intrinsics,
            pose=torch.cat([rotation, translation[:, None]], dim=1),
        )
