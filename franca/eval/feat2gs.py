"""Views from new sides, with geometry, colour or both read off the features of other views.

A small relative of Feat2GS (fanegg/Feat2GS@0930a18), which the paper's Table 5 reports. As there,
every pixel of the input views becomes a splat; in mode geometry its depth is read off the features
and its colour is the pixel's, in mode texture the reverse, in mode all both; views in between are
rendered and compared over what the input views show. Not as there: read-outs are linear and solved
in closed form against the input views' depth and colour, not networks trained through the renderer;
depth and cameras are the true ones, not DUSt3R's; splats are opaque points of one size; there is no
LPIPS, whose network nothing permissive provides offline. Numbers do not compare with Table 5.

What it measures: how much of the depth and colour of a place its features tell, and how well views
agree on it, for errors that agree stay invisible from new sides. What it does not: features of
unseen places, and detail finer than a linear map of upsampled tokens can hold.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from franca.eval.benchmark import Benchmark, MetricSpec, Outcome
from franca.eval.cameras import carry, motion_between
from franca.eval.geometry import PosedView, SceneInputs
from franca.eval.image_metrics import psnr, ssim
from franca.eval.regression import LinearMap, moments, solve_ridge
from franca.eval.resampling import mean
from franca.eval.splatting import Picture, splat

_NAMES = ("psnr", "ssim")
_TRUE = "true"  # depth and colour as they are: what rendering itself reaches
_BEST_PSNR = 60.0  # dB; equal images would be infinitely alike


def pixel_features(view: PosedView) -> Float[Tensor, "pixels dim"]:
    """Return the tokens upsampled to the pixels (bilinear)."""
    tokens = view.tokens.float().T.unflatten(1, view.grid)[None]
    return interpolate(tokens, view.points.shape[1:], mode="bilinear")[0].flatten(1).T


def fit_read_out(
    features: Float[Tensor, "views pixels dim"],
    targets: Float[Tensor, "views pixels targets"],
    *,
    dims: int,
    penalty: float,
) -> LinearMap:
    """Regress targets on the principal components of a scene's features by ridge.

    Args:
        features: of every pixel.
        targets: NaN where unknown.
        dims: components kept, so that models of any width have read-outs of one size.
        penalty: see `solve_ridge`.
    """
    sums = moments(features, torch.zeros(*features.shape[:2], 1))
    middle = sums.x / sums.count
    covariance = sums.xx / sums.count - torch.outer(middle, middle)
    axes = torch.linalg.eigh(covariance).eigenvectors[:, -min(dims, len(middle)) :]
    components = features.double() @ axes
    fitted = solve_ridge(moments(components, targets), penalty=penalty)
    return LinearMap(weights=axes @ fitted.weights, bias=fitted.bias)


def read_scene(
    views: Sequence[PosedView], *, dims: int, penalty: float
) -> tuple[Float[Tensor, "views pixels"], Float[Tensor, "views pixels 3"]]:
    """Return the depth and the colour of every pixel as its features tell them.

    Depth stays within what the scene has: beyond it, a logarithm extrapolates without bound.
    """
    features = torch.stack([pixel_features(view) for view in views])
    depth = torch.stack([view.points[2].flatten() for view in views])
    logs = depth.where(depth > 0, torch.nan).log()
    colors = torch.stack([view.pixels.flatten(1).T for view in views])
    known = logs[~logs.isnan()]
    # Pixels of unknown depth are never drawn: their colour plays no part either.
    read = fit_read_out(
        features, torch.cat([logs[..., None], colors], dim=2), dims=dims, penalty=penalty
    )
    told = torch.stack([read(rows) for rows in features])
    depths = told[..., 0].clamp(known.min(), known.max()).exp()
    return depths.float(), told[..., 1:].clamp(0, 1).float()


def render_view(
    target: PosedView,
    views: Sequence[PosedView],
    *,
    depth: Float[Tensor, "views pixels"],
    colors: Float[Tensor, "views pixels 3"],
    radius: float,
    margin: float,
) -> Picture:
    """Draw the pixels of some views, at the given depths and in the given colours, from another.

    A splat is `radius` pixels of the view it comes from wide; a pixel of unknown depth is none.
    """
    points, sizes, kept = [], [], []
    for view, far in zip(views, depth, strict=True):
        true = view.points.flatten(1)
        known = true[2] > 0
        rays = (true / true[2].where(known, 1.0))[:, known]
        motion = motion_between(view.pose, target.pose)
        points.append(carry((rays * far[known]).T, motion))
        sizes.append(radius * far[known] / view.intrinsics[0, 0])
        kept.append(known)
    return splat(
        torch.cat(points),
        colors.flatten(0, 1)[torch.cat(kept)],
        torch.cat(sizes),
        target.intrinsics,
        size=(target.pixels.shape[1], target.pixels.shape[2]),
        margin=margin,
    )


def feat2gs_lite(
    inputs: SceneInputs,
    *,
    seed: int,  # noqa: ARG001 - every benchmark takes one
    device: torch.device,  # noqa: ARG001 - scattered sums of small images: the CPU is as fast
    dims: int,
    penalty: float,
    radius: float,
    margin: float,
) -> Outcome:
    """Render every second view of each scene from the others, and compare it with the true one.

    The first and the last view are always input views: what is rendered lies between.

    Args:
        inputs: scenes with features, depth and cameras.
        seed: unused, nothing is random.
        device: unused.
        dims: principal components of a scene's features kept.
        penalty: of the ridge read-out.
        radius: of a splat, in pixels of the view it comes from.
        margin: metres of depth within which the splats of a pixel blend.
    """
    scores: dict[str, list[float]] = {}
    rendered = {}
    for number, scene in enumerate(inputs.scenes):
        held_out = range(1, len(scene) - 1, 2)
        views = [view for number, view in enumerate(scene) if number not in held_out]
        told, painted = read_scene(views, dims=dims, penalty=penalty)
        depth = torch.stack([view.points[2].flatten() for view in views])
        colors = torch.stack([view.pixels.flatten(1).T for view in views])
        ways = {
            _TRUE: (depth, colors),
            "geometry": (told, colors),
            "texture": (depth, painted),
            "all": (told, painted),
        }
        found = []
        for view in held_out:
            pictures = render_ways(scene[view], views, ways, radius=radius, margin=margin)
            found.append(compare_view(scene[view], pictures))
            for way, picture in pictures.items():
                pixels = (255 * picture.pixels).round().byte().permute(1, 2, 0)
                rendered[f"rendered@{way}/{number:03d}-{view:03d}"] = pixels.numpy()
        for key in found[0]:
            scores.setdefault(key, []).append(float(np.mean([one[key] for one in found])))
    ceiling = {name: round(float(np.mean(scores.pop(f"{name}@{_TRUE}"))), 4) for name in _NAMES}
    return Outcome(
        evidence={key: np.array(values) for key, values in scores.items()},
        predictions=rendered,
        details={"true_depth_and_color": ceiling},
    )


def render_ways(
    target: PosedView,
    views: Sequence[PosedView],
    ways: Mapping[str, tuple[Float[Tensor, "views pixels"], Float[Tensor, "views pixels 3"]]],
    *,
    radius: float,
    margin: float,
) -> dict[str, Picture]:
    """Render a view from others in several ways: with these depths and colours of their pixels."""
    return {
        name: render_view(target, views, depth=depth, colors=colors, radius=radius, margin=margin)
        for name, (depth, colors) in ways.items()
    }


def compare_view(target: PosedView, pictures: Mapping[str, Picture]) -> dict[str, float]:
    """Return PSNR and SSIM of each rendered picture against the true view.

    Pixels count where splats of true depth lie; where a way leaves one of them empty, it is black.
    """
    mask = pictures[_TRUE].covered.float()
    scores: dict[str, float] = {}
    for name, picture in pictures.items():
        values = _alike(picture.pixels, target.pixels, mask)
        scores |= {f"{kind}@{name}": value for kind, value in zip(_NAMES, values, strict=True)}
    return scores


def _alike(
    image: Float[Tensor, "3 height width"], truth: Tensor, mask: Tensor
) -> tuple[float, float]:
    """Return PSNR and SSIM of two images after both are black outside the mask (Feat2GS)."""
    first, second = (image * mask)[None], (truth * mask)[None]
    return min(float(psnr(first, second)), _BEST_PSNR), float(ssim(first, second))


BENCHMARK = Benchmark(
    name="feat2gs_lite",
    version="1.0",
    protocol="linear read-out of depth and colour of every pixel from upsampled tokens, opaque "
    "splats from true cameras, views in between; no training through the renderer, no LPIPS: does "
    "not compare with Feat2GS",
    source="after fanegg/Feat2GS@0930a18 and Franca, Table 5; the closed-form read-out is ours",
    kind="scenes",
    quick=False,
    metrics=(
        MetricSpec("psnr", "higher", "dB", "psnr", mean, "percentile"),
        MetricSpec("ssim", "higher", "1", "ssim", mean, "percentile"),
    ),
    run=feat2gs_lite,
    predictions={
        "rendered": "[height, width, 3] of each view in between, by scene and view; `true`: with "
        "true depth and colour"
    },
)
