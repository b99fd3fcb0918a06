"""Colours and blur of whole batches on the device that trains, where they cost next to nothing.

The operations of the other backends on 8-bit levels, crop by crop what was drawn for it; after
each, levels are truncated to whole numbers as Pillow's are. Crops that share an operation are
worked on together; which these are is known on the host, so the device never waits for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import conv2d, pad

from franca.data.augment_draws import ColourOperation, CropParams
from franca.data.collate import MultiCropBatch
from franca.models.transfer import send

Levels = Float[Tensor, "rows 3 height width"]
"""Whole numbers from 0 to 255."""

Factors = Float[Tensor, "rows 1 1 1"]

_LUMA = (0.299, 0.587, 0.114)
_TRUNCATE = 1e-3  # keeps whole numbers whole in the face of rounding


def coloured(batch: MultiCropBatch) -> MultiCropBatch:
    """Do what is left to be done to the colours of a batch, where the batch is."""
    if not batch.colours:
        return batch
    by_view = [crop for view in zip(*batch.colours, strict=True) for crop in view]
    num_global = len(batch.global_crops)
    local_crops = batch.local_crops
    if len(local_crops):
        local_crops = recolour(local_crops, by_view[num_global:])
    return replace(
        batch,
        global_crops=recolour(batch.global_crops, by_view[:num_global]),
        local_crops=local_crops,
        colours=(),
    )


def recolour(
    crops: UInt8[Tensor, "rows 3 height width"], drawn: Sequence[CropParams]
) -> UInt8[Tensor, "rows 3 height width"]:
    """Change the colours of each crop as drawn for it, in the order of `CropParams`.

    Args:
        crops: RGB, cut, resized and mirrored.
        drawn: one entry a crop.
    """
    levels = crops.float()
    for place in range(4):
        for name, operation in COLOUR.items():
            factors = {
                row: crop.jitter[place][1]
                for row, crop in enumerate(drawn)
                if crop.jitter and crop.jitter[place][0] == name
            }
            _change(levels, factors, operation)
    _change(levels, {row: 0.0 for row, c in enumerate(drawn) if c.grayscale}, _saturation)
    sigmas = {row: c.blur_sigma for row, c in enumerate(drawn) if c.blur_sigma is not None}
    _change(levels, sigmas, lambda some, sigma: _blur(some, sigma, width=drawn[0].blur_kernel))
    thresholds = {
        row: float(c.solarize_threshold)
        for row, c in enumerate(drawn)
        if c.solarize_threshold is not None
    }
    _change(levels, thresholds, lambda some, least: torch.where(some < least, some, 255 - some))
    return levels.to(torch.uint8)


def _change(
    levels: Levels, factors: dict[int, float], operation: Callable[[Levels, Factors], Levels]
) -> None:
    """Change the rows that `factors` names, in place."""
    if factors:
        rows = send(torch.tensor(list(factors)), levels.device)
        values = torch.tensor(list(factors.values()), dtype=torch.float32)
        amount = send(values, levels.device)[:, None, None, None]
        levels[rows] = operation(levels[rows], amount)


def _whole(levels: Levels) -> Levels:
    return levels.add_(_TRUNCATE).clamp_(0, 255).floor_()


def _gray(levels: Levels) -> Float[Tensor, "rows 1 height width"]:
    luma = send(torch.tensor(_LUMA), levels.device)
    return (levels * luma[:, None, None]).sum(1, keepdim=True).round()


def _brightness(levels: Levels, factor: Factors) -> Levels:
    return _whole(levels * factor)


def _contrast(levels: Levels, factor: Factors) -> Levels:
    mean = _gray(levels).mean((1, 2, 3), keepdim=True).round()
    return _whole(factor * levels + (1 - factor) * mean)


def _saturation(levels: Levels, factor: Factors) -> Levels:
    return _whole(factor * levels + (1 - factor) * _gray(levels))


def _hue(levels: Levels, turns: Factors) -> Levels:
    """Shift the hue as Pillow's 8-bit HSV does: hue and saturation are truncated to 256 steps."""
    value = levels.amax(1)
    spread = value - levels.amin(1)
    red, green, blue = ((value - channel) / spread.clamp_min(1) for channel in levels.unbind(1))
    hue = torch.where(
        levels[:, 0] == value,
        blue - green,
        torch.where(levels[:, 1] == value, 2 + red - blue, 4 + green - red),
    )
    steps = (hue / 6).remainder(1).mul(255).add(_TRUNCATE).floor()
    shift = (turns[:, 0] * 255).trunc()
    saturation = (255 * spread / value.clamp_min(1)).add(_TRUNCATE).floor() / 255
    sextant = (steps + shift).remainder(256) * (6 / 255)
    # Channel c is value * (1 - saturation * clamp(distance of the hue from its own, 0..1)).
    offsets = send(torch.tensor([5.0, 3.0, 1.0]), levels.device)[:, None, None]
    place = (offsets + sextant[:, None]).remainder(6)
    share = torch.minimum(place, 4 - place).clamp(0, 1)
    return (value[:, None] * (1 - saturation[:, None] * share)).round()


def _blur(levels: Levels, sigma: Factors, *, width: int) -> Levels:
    """Blur each crop with its own Gaussian, one axis after the other, edges mirrored."""
    rows, channels, _, _ = levels.shape
    offsets = torch.arange(width, device=levels.device) - width // 2
    kernels = torch.exp(-0.5 * (offsets / sigma[:, 0, 0]).square())
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    half = width // 2
    planes = pad(levels.flatten(0, 1)[None], (half, half, half, half), mode="reflect")
    for shape in ((1, width), (width, 1)):
        weight = kernels.view(-1, 1, *shape)
        planes = conv2d(planes, weight, groups=rows * channels)
    return planes.view_as(levels).round()


COLOUR: dict[ColourOperation, Callable[[Levels, Factors], Levels]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}
