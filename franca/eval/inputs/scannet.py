"""ScanNet's 1,500 test pairs, as LoFTR and Probe3D lay them out."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from franca.eval.cameras import unproject
from franca.eval.datasets import choose, decode, digest_selection, opened
from franca.eval.inputs.views import Shot

_HEIGHT, _WIDTH = 480, 640  # of the depth maps; images are resized to it
_MILLIMETRES = 1000.0


class ScanNetPairs:
    """Views of the pairs that test.npz lists, each view once.

    Args:
        root: folder with test.npz (`name`: room, sequence, first and second frame of each pair),
            intrinsics.npz (a 3 x 3 matrix for each scene, of 640 x 480 pixels) and
            scene<room>_<sequence>/{color/<frame>.jpg, depth/<frame>.png, pose/<frame>.txt}.
        split: name of the list, `test`.
        limit: use at most so many pairs.

    Raises:
        FileNotFoundError: the lists, or a view's files are missing.
        ValueError: the lists are not what they should be.
    """

    def __init__(self, root: Path, *, split: str, limit: int | None) -> None:
        self._lists = (root / f"{split}.npz", root / "intrinsics.npz")
        for path in self._lists:
            if not path.is_file():
                raise FileNotFoundError(f"expected ScanNet's test pairs; {path} does not exist")
        with np.load(self._lists[0], allow_pickle=False) as listing:
            found = listing["name"] if "name" in listing else np.empty(0)
        rows: NDArray[Any] = found
        if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
            raise ValueError(f"{self._lists[0]}: expected `name` [pairs, 4], got {rows.shape}")
        self._chosen = choose(len(rows), limit)
        ends = [
            [(f"scene{room:04d}_{sequence:02d}", frame) for frame in frames]
            for room, sequence, *frames in rows[self._chosen].tolist()
        ]
        self._names = sorted({view for pair in ends for view in pair})
        place = {view: number for number, view in enumerate(self._names)}
        self.pairs = [(place[first], place[second]) for first, second in ends]
        with np.load(self._lists[1], allow_pickle=False) as matrices:
            missing = sorted({scene for scene, _ in self._names} - set(matrices.files))
            if missing:
                raise ValueError(f"{self._lists[1]}: no matrix for {missing[0]}")
            self._intrinsics = {scene: matrices[scene] for scene, _ in self._names}
        self._images, self._depth, self._poses = (
            [root / scene / folder / f"{frame}.{suffix}" for scene, frame in self._names]
            for folder, suffix in (("color", "jpg"), ("depth", "png"), ("pose", "txt"))
        )
        for path in (*self._images, *self._depth, *self._poses):
            if not path.is_file():
                raise FileNotFoundError(f"expected ScanNet's test pairs; {path} does not exist")

    @property
    def groups(self) -> tuple[str, ...]:
        """The scene of each view."""
        return tuple(scene for scene, _ in self._names)

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._names)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, depth, cameras and selection."""
        paths = [*self._images, *self._depth, *self._poses, *self._lists]
        return digest_selection(self._chosen, (("/".join(p.parts[-3:]), p) for p in paths))

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels, those of the depth."""
        del index
        return _HEIGHT, _WIDTH

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""
        path = self._images[index]
        found = decode(path)
        return found.resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR)

    def shot(self, index: int) -> Shot:
        """Return geometry and camera of one view.

        Raises:
            ValueError: depth of another size.
        """
        with opened(self._depth[index], what="depth map") as image:
            millimetres = np.array(image, dtype=np.float32)
        if millimetres.shape != (_HEIGHT, _WIDTH):
            raise ValueError(f"{self._depth[index]}: {millimetres.shape}, not {_HEIGHT, _WIDTH}")
        intrinsics = torch.tensor(self._intrinsics[self._names[index][0]], dtype=torch.float32)
        to_world = np.loadtxt(self._poses[index]).reshape(4, 4)
        return Shot(
            points=unproject(torch.from_numpy(millimetres / _MILLIMETRES), intrinsics),
            intrinsics=intrinsics,
            pose=torch.tensor(np.linalg.inv(to_world)[:3], dtype=torch.float32),
        )
