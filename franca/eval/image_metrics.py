"""PSNR and SSIM of images in [0, 1], as Gaussian splatting reports them.

SSIM here is that of 3D Gaussian splatting and Feat2GS: zeros beyond the border, and the border
counts. torchmetrics and scikit-image reflect the border or leave it out, which moves the third
decimal: their numbers do not compare with these.
"""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_WINDOW = 11  # pixels
_SIGMA = 1.5  # pixels
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2  # Wang et al., 2004, for a range of 1

Images = Float[Tensor, "images 3 height width"]
Masks = Float[Tensor, "images 1 height width"]


@cache
def _window() -> Float[Tensor, "1 1 side side"]:
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = (-(offsets**2) / (2 * _SIGMA**2)).exp()
    weights /= weights.sum()
    return torch.outer(weights, weights).float()[None, None]


def ssim_map(first: Images, second: Images) -> Images:
    """Return structural similarity around every pixel, channel by channel.

        for each pixel, with Gaussian weights w over the 11 x 11 pixels around it, 0 outside:
            m1, m2 = sum(w x1), sum(w x2)
            v1, v2 = sum(w x1²) - m1², sum(w x2²) - m2²
            c = sum(w x1 x2) - m1 m2
            ssim = (2 m1 m2 + C1) (2 c + C2) / ((m1² + m2² + C1) (v1 + v2 + C2))

    Source: Wang et al., 2004; window and border of graphdeco-inria/gaussian-splatting.
    """
    stacked = torch.cat([first, second, first * first, second * second, first * second])
    window = _window().to(stacked).expand(3, 1, -1, -1)
    smooth = functional.conv2d(stacked, window, padding=_WINDOW // 2, groups=3)
    mean1, mean2, square1, square2, product = smooth.chunk(5)
    luminance = (2 * mean1 * mean2 + _LUMINANCE) / (mean1**2 + mean2**2 + _LUMINANCE)
    covariance = product - mean1 * mean2
    variances = square1 - mean1**2 + square2 - mean2**2
    return luminance * (2 * covariance + _CONTRAST) / (variances + _CONTRAST)


def ssim(first: Images, second: Images) -> Float[Tensor, " images"]:
    """Return the mean over pixels and channels of `ssim_map`, image by image."""
    return ssim_map(first, second).mean((1, 2, 3))


def psnr(first: Images, second: Images, mask: Masks | None = None) -> Float[Tensor, " images"]:
    """Return the peak signal-to-noise ratio in dB, infinite for equal images.

        psnr = -10 log10(mean((x1 - x2)²))

    Args:
        first: in [0, 1].
        second: in [0, 1].
        mask: what counts, 1 or 0; None counts every pixel.
    """
    errors = (first - second) ** 2
    if mask is None:
        return -10 * errors.mean((1, 2, 3)).log10()
    return -10 * masked_mean(errors, mask).log10()


def masked_mean(maps: Images, mask: Masks) -> Float[Tensor, " images"]:
    """Average over the channels of the pixels where the mask is 1; NaN where it is 0 throughout."""
    return (maps * mask).sum((1, 2, 3)) / (maps.shape[1] * mask.sum((1, 2, 3)))
