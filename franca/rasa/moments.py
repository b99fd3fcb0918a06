"""Sums over tokens that say all a linear method needs to know: one pass, any order, any machine.

z  features [D]    y  targets [T]
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from franca.rasa.linear_map import LinearMap

_FAST_ROWS = 8  # matrix products of a multiple of as many rows run at the speed of memory


@dataclass(frozen=True)
class Moments:
    """Raw sums in float64. Adding two of them is having seen both sets of tokens.

    Attributes:
        count: tokens seen.
        covariance_count: tokens among them that went into `zz` and `z_beside_zz`.
        z, y, zy, yy: sums of z, y, z y' and y y' over all tokens.
        zz, z_beside_zz: sums of z z' and z over every `covariance_stride`-th token.
    """

    count: Float[Tensor, ""]
    covariance_count: Float[Tensor, ""]
    z: Float[Tensor, " dim"]
    y: Float[Tensor, " targets"]
    zy: Float[Tensor, "dim targets"]
    yy: Float[Tensor, "targets targets"]
    zz: Float[Tensor, "dim dim"]
    z_beside_zz: Float[Tensor, " dim"]

    def __add__(self, other: "Moments") -> "Moments":
        names = [f.name for f in fields(self)]
        return Moments(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def mean(self) -> Float[Tensor, " dim"]:
        """Mean feature."""
        return self.z / self.count

    @property
    def target_mean(self) -> Float[Tensor, " targets"]:
        """Mean target."""
        return self.y / self.count

    def covariance(self) -> Float[Tensor, "dim dim"]:
        """Return cov(z, z)."""
        mean = self.z_beside_zz / self.covariance_count
        return self.zz / self.covariance_count - torch.outer(mean, mean)

    def cross_covariance(self) -> Float[Tensor, "dim targets"]:
        """Return cov(z, y)."""
        return self.zy / self.count - torch.outer(self.mean, self.target_mean)

    def target_covariance(self) -> Float[Tensor, "targets targets"]:
        """Return cov(y, y)."""
        return self.yy / self.count - torch.outer(self.target_mean, self.target_mean)

    def mapped(self, linear_map: LinearMap) -> "Moments":
        """Return the moments of the mapped features, without another pass over them."""
        L, offset = linear_map.matrix().to(self.z.device), linear_map.offset().to(self.z.device)
        moved = self.z_beside_zz @ L
        shift = torch.outer(moved, offset)
        return Moments(
            count=self.count,
            covariance_count=self.covariance_count,
            z=self.z @ L + self.count * offset,
            y=self.y,
            zy=L.T @ self.zy + torch.outer(offset, self.y),
            yy=self.yy,
            zz=L.T @ self.zz @ L
            + shift
            + shift.T
            + self.covariance_count * torch.outer(offset, offset),
            z_beside_zz=moved + self.covariance_count * offset,
        )

    def all_reduced(self) -> "Moments":
        """Sum over the processes of torch.distributed, each of which has seen its own tokens."""
        parts = {f.name: getattr(self, f.name).clone() for f in fields(self)}
        for part in parts.values():
            torch.distributed.all_reduce(part)
        return Moments(**parts)


def moments_of(
    features: Float[Tensor, "tokens dim"],
    targets: Float[Tensor, "tokens targets"],
    *,
    covariance_stride: int = 1,
) -> Moments:
    """Sum one batch.

    Products are taken in the features' own precision about the batch means, where that loses
    nothing, and added up in float64.

    Args:
        features: tokens.
        targets: what the tokens are to tell nothing about.
        covariance_stride: use every so-many-th token for cov(z, z), the only costly sum (D^2 a
            token). Which targets a closed form removes does not depend on it
            (`franca.rasa.closed_form`).

    Raises:
        ValueError: NaN or infinite features.
    """
    count, num_targets = targets.shape
    y_mean = targets.mean(0)
    deviation = targets - y_mean
    # One product gives both sums and reads the features once; of so few rows it takes a slow path.
    padding = -(1 + num_targets) % _FAST_ROWS
    weights = functional.pad(deviation, (0, padding))
    sums = torch.cat([weights.new_ones(count, 1), weights], dim=1).T @ features
    z = sums[0].double()
    check_finite(z)
    subset = features[::covariance_stride]
    subset_mean = subset.mean(0)
    centred = subset - subset_mean
    y_sum = count * y_mean.double()
    beside = len(subset) * subset_mean.double()
    return Moments(
        count=z.new_tensor(count),
        covariance_count=z.new_tensor(len(subset)),
        z=z,
        y=y_sum,
        zy=sums[1 : 1 + num_targets].T.double() + torch.outer(z, y_mean.double()),
        yy=(deviation.T @ deviation).double() + torch.outer(y_sum, y_mean.double()),
        zz=(centred.T @ centred).double() + torch.outer(beside, subset_mean.double()),
        z_beside_zz=beside,
    )


def sum_moments(batches: Iterable[tuple[Tensor, Tensor]], *, covariance_stride: int = 1) -> Moments:
    """Sum every batch, in one pass.

    Args:
        batches: features [tokens, dim] and targets [tokens, targets]; batches may differ in size.
        covariance_stride: see `moments_of`.

    Raises:
        ValueError: no batches, NaN or infinite features, or no more tokens than dimensions.
    """
    total: Moments | None = None
    for features, targets in batches:
        moments = moments_of(features, targets, covariance_stride=covariance_stride)
        total = moments if total is None else total + moments
    if total is None:
        raise ValueError(
            "no features to fit: raise rasa.max_images or lower rasa.presets.*.batch_size"
        )
    check_enough(int(total.covariance_count), dim=len(total.z))
    return total


def check_enough(num_tokens: int, *, dim: int) -> None:
    """Refuse so few tokens that any target can be read off them without error.

    Raises:
        ValueError: no more tokens than dimensions.
    """
    if num_tokens <= dim:
        raise ValueError(
            f"{num_tokens} tokens cannot say what {dim} dimensions hold: "
            f"give more than {dim} (rasa.max_images, rasa.probe.num_images)"
        )


def check_finite(features: Float[Tensor, "*batch dim"]) -> None:
    """Refuse NaN and infinity. A sum shows them without a mask as large as the features.

    Raises:
        ValueError: NaN or infinite features.
    """
    if not torch.isfinite(features.sum(dtype=torch.float32)):
        raise ValueError(
            "features hold NaN or infinite values: check the backbone's checkpoint and precision"
        )
