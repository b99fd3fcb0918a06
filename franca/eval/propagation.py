"""Label propagation through a video: every patch takes the labels of the patches most like it.

Jabri et al., NeurIPS 2020; facebookresearch/dino@7c446df, eval_video_segmentation.py.
"""

from collections import deque
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate, normalize

Grid = tuple[int, int]


def window(grid: Grid, *, radius: int) -> Bool[Tensor, "patches patches"]:
    """Return which patches are at most `radius` rows and columns apart; 0 means any."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    if radius == 0:
        return torch.ones(len(places), len(places), dtype=torch.bool)
    return ((places[:, None] - places[None]).abs() <= radius).all(2)


def propagate(
    patches: Float[Tensor, "frames patches dim"],
    first: Float[Tensor, "patches channels"],
    *,
    grid: Grid,
    context: int,
    radius: int,
    neighbours: int,
    temperature: float,
    device: torch.device,
) -> Iterator[Float[Tensor, "patches channels"]]:
    """Yield the soft labels of the second frame and of every later one.

        for each later frame, for each patch p of it:
            sources = patches of the first frame and of up to `context` previous ones, near p
            weight of source q = exp(cos(p, q) / temperature)
            keep the `neighbours` largest weights, and those equal to the last of them
            label of p = sum of kept weights x labels / sum of kept weights

    Args:
        patches: tokens, need not be normalised.
        first: labels of the first frame's patches.
        grid: rows and columns of patches.
        context: previous frames beside the first, with the labels found for them.
        radius: how many rows and columns away a source may be; 0 is anywhere.
        neighbours: sources kept.
        temperature: of the weights.
        device: where to compute.
    """
    near = window(grid, radius=radius)
    # Only what the window holds is looked at, a fraction of all pairs: as wide as the fullest row.
    reach = int(near.sum(1).max())
    places = near.byte().argsort(dim=1, descending=True, stable=True)[:, :reach].to(device)
    inside = near.to(device).gather(1, places)
    start = normalize(patches[0].to(device, torch.float32), dim=1), first.to(device)
    previous: deque[tuple[Tensor, Tensor]] = deque(maxlen=context)
    for frame in patches[1:]:
        tokens = normalize(frame.to(device, torch.float32), dim=1)
        sources = [start, *previous]
        cosines = torch.cat([(tokens @ known.T).gather(1, places) for known, _ in sources], 1)
        weight = (cosines / temperature).exp() * inside.repeat(1, len(sources))
        floor = weight.topk(min(neighbours, weight.shape[1]), dim=1).values[:, -1:]
        weight = weight * (weight >= floor)
        weight = weight / weight.sum(1, keepdim=True)
        labels = torch.zeros_like(start[1])
        for share, (_, known) in zip(weight.split(reach, dim=1), sources, strict=True):
            labels += torch.einsum("ps,psc->pc", share, known[places])
        previous.append((tokens, labels))
        yield labels.cpu()


def label_map(
    labels: Float[Tensor, "patches channels"], *, grid: Grid, patch_size: int
) -> UInt8[Tensor, "height width"]:
    """Upsample soft labels (bilinear), stretch every channel to [0, 1], take the largest.

    A channel that is 0 everywhere stays 0.
    """
    maps = labels.T.unflatten(1, grid)[None]
    size = (grid[0] * patch_size, grid[1] * patch_size)
    enlarged = interpolate(maps, size=size, mode="bilinear", align_corners=False)[0]
    low, high = enlarged.amin((1, 2), keepdim=True), enlarged.amax((1, 2), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)
    stretched = torch.where(high > 0, (enlarged - low) / span, enlarged)
    return stretched.argmax(0).to(torch.uint8)
