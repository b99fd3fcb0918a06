"""Perfect features of geometry: depth and normals in layers, places in the world."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from franca.eval.geometry import (
    Geometry,
    GeometryInputs,
    LayerFeatures,
    PosedView,
    SceneInputs,
    ViewPair,
    ViewPairInputs,
)
from franca.eval.lazy import lazily
from franca.eval.targets import patch_depth as mean_depth
from franca.eval.targets import patch_normals as mean_normals

_LEVELS = 16


def layer_depth(inputs: GeometryInputs) -> GeometryInputs:
    """Return the same images, each patch of each layer with its depth between two of 16 levels.

    As levels, because heads choose between depths; as large as tokens are, because they are trained
    for a number of steps that suits tokens.
    """
    farthest = max(float(geometry.depth.max()) for geometry in inputs.train.geometry)

    def told(geometry: Geometry, grid: tuple[int, int]) -> Tensor:
        depth = torch.from_numpy(mean_depth(geometry.depth.numpy(), grid=grid)).nan_to_num(0.0)
        level = depth[:, None] * (_LEVELS - 1) / farthest
        return _LEVELS * (1 - (level - torch.arange(_LEVELS)).abs()).clamp_min(0)

    return _with_layers(inputs, told)


def layer_normals(inputs: GeometryInputs) -> GeometryInputs:
    """Return the same images, each patch of each layer with its surface normal."""

    def told(geometry: Geometry, grid: tuple[int, int]) -> Tensor:
        assert geometry.normals is not None
        normals = geometry.normals.permute(1, 2, 0).numpy()
        return torch.from_numpy(mean_normals(normals, grid=grid)).nan_to_num()

    return _with_layers(inputs, told)


def _with_layers(
    inputs: GeometryInputs, told: Callable[[Geometry, tuple[int, int]], Tensor]
) -> GeometryInputs:
    def change(split: LayerFeatures) -> LayerFeatures:
        patches = torch.stack([told(geometry, split.grid) for geometry in split.geometry])
        layers, width = split.tokens.shape[1], split.tokens.shape[3]
        # As many channels as tokens have, since heads train for as many steps as suit those.
        wide = patches.float().repeat(1, 1, max(1, width // patches.shape[2]))
        with_cls = nn.functional.pad(wide, (0, 0, 1, 0))  # CLS tells nothing
        return dataclasses.replace(split, tokens=with_cls[:, None].expand(-1, layers, -1, -1))

    return dataclasses.replace(inputs, train=change(inputs.train), test=change(inputs.test))


def world_places(inputs: ViewPairInputs) -> ViewPairInputs:
    """Return the same pairs, each patch with waves of the place in the world that it shows."""

    def place(pair: ViewPair) -> ViewPair:
        first, second = (
            dataclasses.replace(view, tokens=_waves(_shown(view)))
            for view in (pair.first, pair.second)
        )
        return dataclasses.replace(pair, first=first, second=second)

    return dataclasses.replace(inputs, pairs=lazily(place, inputs.pairs))


def _shown(view: PosedView) -> Float[Tensor, "patches 3"]:
    """Return the mean place in the world that each patch shows; 0 where it has no depth."""
    known = (view.points[2] > 0).float()
    rotation, shift = view.pose[:, :3], view.pose[:, 3:]
    world = (rotation.T @ (view.points.flatten(1) - shift)).view_as(view.points) * known
    shares = nn.functional.adaptive_avg_pool2d(known[None], view.grid)
    means = nn.functional.adaptive_avg_pool2d(world, view.grid) / shares.clamp_min(1e-6)
    return means.flatten(1).T


def _waves(places: Float[Tensor, "patches 3"]) -> Float[Tensor, "patches waves"]:
    """Make the cosine between features fall with the distance between places, metres."""
    phases = torch.cat([places * scale for scale in (0.5, 1.0, 2.0)], dim=1)
    return torch.cat([phases.sin(), phases.cos()], dim=1)


def depth_and_color(inputs: SceneInputs) -> SceneInputs:
    """Return the same scenes with patches of one pixel, each with its colour and log-depth.

    So fine that nothing is lost by upsampling: what remains is what rendering itself loses.
    """

    def tell(scene: Sequence[PosedView]) -> list[PosedView]:
        return [told(view) for view in scene]

    def told(view: PosedView) -> PosedView:
        depth = view.points[2]
        logs = torch.where(depth > 0, depth, 1.0).log()
        tokens = torch.cat([logs[None], view.pixels]).flatten(1).T
        return dataclasses.replace(view, tokens=tokens, grid=(depth.shape[0], depth.shape[1]))

    return dataclasses.replace(inputs, scenes=lazily(tell, inputs.scenes))
