"""What views with known cameras and depth have in common, whatever the set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Shot:
    """What is known of a view beside its pixels; see `franca.eval.geometry.PosedView`."""

    points: Float[Tensor, "3 height width"]
    intrinsics: Float[Tensor, "3 3"]
    pose: Float[Tensor, "3 4"]


@runtime_checkable
class Views(Protocol):
    """Views in a fixed order, and which of them are compared."""

    @property
    def digest(self) -> str:
        """SHA-256 of images, geometry and selection."""

    @property
    def pairs(self) -> Sequence[tuple[int, int]]:
        """Views that are compared."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The scene or object of each view."""

    def __len__(self) -> int:
        """Return the number of views."""

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels."""

    def image(self, index: int) -> Image.Image:
        """Return one RGB image."""

    def shot(self, index: int) -> Shot:
        """Return geometry and camera of one view."""
