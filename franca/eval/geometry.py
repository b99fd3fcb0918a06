"""What benchmarks of geometry see: images with depth, and views from known cameras."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from franca.eval.layers import StreamedLayers


@dataclass(frozen=True)
class Geometry:
    """What the pixels of an image show, in the camera's frame (x right, y down, z forward).

    Attributes:
        depth: metres, 0 where unknown.
        normals: unit surface normals, 0 where unknown; None where the set has none.
    """

    depth: Float[Tensor, "height width"]
    normals: Float[Tensor, "3 height width"] | None


@dataclass(frozen=True)
class LayerFeatures:
    """One split of a set with geometry: tokens of several blocks before the final norm.

    Attributes:
        tokens: CLS and patch tokens, row-major; computed whenever they are read where they are too
            many to store.
        grid: rows and columns of patches.
        geometry: of each image, made when asked for; all have one size.
        groups: the scene or object of each image: what is independent of what.
    """

    tokens: Float[Tensor, "images layers tokens dim"] | StreamedLayers
    grid: tuple[int, int]
    geometry: Sequence[Geometry]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class GeometryInputs:
    """What probes of geometry see."""

    train: LayerFeatures
    test: LayerFeatures


@dataclass(frozen=True)
class PosedView:
    """An image whose camera and geometry are known.

    Attributes:
        tokens: patch tokens, row-major.
        grid: rows and columns of patches.
        pixels: colours in [0, 1].
        points: what each pixel shows, in the camera's frame in metres; all 0 where unknown.
        intrinsics: from the camera's frame to pixels, the middle of the first at 0.5, 0.5.
        pose: rotation and translation from the world to the camera's frame.
    """

    tokens: Float[Tensor, "patches dim"]
    grid: tuple[int, int]
    pixels: Float[Tensor, "3 height width"]
    points: Float[Tensor, "3 height width"]
    intrinsics: Float[Tensor, "3 3"]
    pose: Float[Tensor, "3 4"]


@dataclass(frozen=True)
class ViewPair:
    """Two views of one scene or object, which `group` names."""

    first: PosedView
    second: PosedView
    group: str


@dataclass(frozen=True)
class ViewPairInputs:
    """What benchmarks of dense correspondence see; pairs are made when asked for."""

    pairs: Sequence[ViewPair]


@dataclass(frozen=True)
class SceneInputs:
    """What novel-view benchmarks see: all views of each scene, made when asked for."""

    scenes: Sequence[Sequence[PosedView]]
