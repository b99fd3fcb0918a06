"""The artefact of every method: a rank-k affine map of patch tokens, z' = z - ((z - mean) A) B.

    D  channels of a token          A  [D, k]  what is read
    k  rank of what is taken away   B  [k, D]  what is subtracted

Stored as one safetensors file: tensors `A`, `B`, `mean`, and a header key "franca" with JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from franca.models.weights import write_tensors


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Take k directions out of patch tokens.

    Attributes:
        A: the k directions that are read.
        B: the k directions that are subtracted.
        mean: the point that the map leaves alone; zero for the published RASA.
        metadata: how the map came about; JSON-able, saved in the header.

    Raises:
        ValueError: a rank above the dimension, or values that are not finite.
    """

    A: Float[Tensor, "dim rank"]
    B: Float[Tensor, "rank dim"]
    mean: Float[Tensor, " dim"]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_rank(self.rank, dim=self.dim)
        if not all(bool(torch.isfinite(part).all()) for part in (self.A, self.B, self.mean)):
            raise ValueError("the map holds NaN or infinite values: refit it on finite features")

    @property
    def dim(self) -> int:
        """Channels of the tokens that the map takes."""
        return self.A.shape[0]

    @property
    def rank(self) -> int:
        """Number of directions taken away."""
        return self.A.shape[1]

    def __call__(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Correct tokens at run time: 4 D k operations a token, exact.

        The docstring as loops, for one token z:

            for j in range(k):
                z' -= sum_i (z_i - mean_i) A_ij * B_j      # every j reads the original z

        Raises:
            ValueError: features of another dimension.
        """
        if features.shape[-1] != self.dim:
            raise ValueError(
                f"features have {features.shape[-1]} channels and the map takes {self.dim}: "
                "use the map that was fitted on this backbone"
            )
        flat = features.reshape(-1, self.dim)
        A, B, mean = (part.to(flat) for part in (self.A, self.B, self.mean))
        return torch.addmm(flat, torch.addmm(-(mean @ A), flat, A), B, alpha=-1).view_as(features)

    def matrix(self) -> Float[Tensor, "dim dim"]:
        """Return L = I - A B in float64, for which z' = z L + `offset()`."""
        identity = torch.eye(self.dim, dtype=torch.float64, device=self.A.device)
        return identity - self.A.double() @ self.B.double()

    def offset(self) -> Float[Tensor, " dim"]:
        """Return mean A B in float64."""
        return self.mean.double() @ self.A.double() @ self.B.double()

    def to(self, target: torch.device | torch.dtype) -> "LinearMap":
        """Return the map on another device or in another floating type."""
        return LinearMap(
            self.A.to(target), self.B.to(target), self.mean.to(target), metadata=self.metadata
        )


def check_rank(rank: int, *, dim: int) -> None:
    """Refuse to take more directions than there are.

    Raises:
        ValueError: `rank` above `dim`.
    """
    if rank > dim:
        raise ValueError(
            f"cannot take {rank} directions out of {dim}-dimensional features: "
            "ask for fewer rounds or fewer targets (rasa.presets.*.rounds, rasa.target)"
        )


def identity_map(dim: int) -> LinearMap:
    """Return the map of rank 0."""
    return LinearMap(torch.zeros(dim, 0), torch.zeros(0, dim), torch.zeros(dim))


def compose_planes(
    planes: Sequence[Float[Tensor, "_ dim"]], *, metadata: Mapping[str, Any]
) -> LinearMap:
    """Fold the removal of one plane after another into one map.

    z (I - P_1) (I - P_2) ... with P_t = U_t' U_t. The planes of the published method are not
    orthogonal to each other, so this is no projector and must not be re-orthogonalised. With
    L = I - A B so far, L (I - U'U) = I - [A, L U'] [B; U]: the compact WY form, of rank (number of
    directions) without any decomposition.

    Args:
        planes: orthonormal rows each, in the order in which they are removed.
        metadata: kept with the map.

    Raises:
        ValueError: no planes, or more directions than dimensions.
    """
    if not planes:
        raise ValueError("a map needs the plane of one round at least: run rasa with rounds >= 1")
    dim = planes[0].shape[1]
    check_rank(sum(len(plane) for plane in planes), dim=dim)
    A = torch.zeros(dim, 0, dtype=torch.float64)
    B = torch.zeros(0, dim, dtype=torch.float64)
    for plane in planes:
        U = plane.double().cpu()
        A, B = torch.cat([A, U.T - A @ (B @ U.T)], dim=1), torch.cat([B, U])
    return LinearMap(A.float(), B.float(), torch.zeros(dim), metadata=metadata)


def save_map(linear_map: LinearMap, path: Path) -> None:
    """Write the map as one safetensors file whose bytes depend on the map alone."""
    tensors = {"A": linear_map.A, "B": linear_map.B, "mean": linear_map.mean}
    tensors = {name: part.float().cpu() for name, part in tensors.items()}
    write_tensors(tensors, path, header=dict(linear_map.metadata))


def load_map(path: Path) -> LinearMap:
    """Read a map that `save_map` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, or not a map.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no map at {path}: run the stage rasa first")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = json.loads((file.metadata() or {}).get("franca", "{}"))
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}): refit the map") from error
    if set(tensors) != {"A", "B", "mean"}:
        raise ValueError(
            f"{path} holds {sorted(tensors)} where a map holds A, B, mean: "
            "give the map.safetensors of the stage rasa"
        )
    dim, rank = tensors["A"].shape
    if tensors["B"].shape != (rank, dim) or tensors["mean"].shape != (dim,):
        raise ValueError(
            f"{path}: A {dim}x{rank} does not go with B {tuple(tensors['B'].shape)} and "
            f"mean {tuple(tensors['mean'].shape)}: refit the map"
        )
    return LinearMap(**tensors, metadata=metadata)
