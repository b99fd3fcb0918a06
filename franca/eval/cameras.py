"""Pinhole cameras: x right, y down, z forward; the middle of the top left pixel at 0.5, 0.5."""

import torch
from jaxtyping import Float
from torch import Tensor


def unproject(
    depth: Float[Tensor, "height width"], intrinsics: Float[Tensor, "3 3"]
) -> Float[Tensor, "3 height width"]:
    """Return what each pixel shows in the camera's frame; 0 where depth is 0 or not finite."""
    height, width = depth.shape
    rows, columns = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
    )
    rays = torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1)
    directions: Tensor = (torch.linalg.inv(intrinsics) @ rays).unflatten(1, (height, width))
    return directions * depth.nan_to_num(0.0, 0.0, 0.0).clamp_min(0)


def carry(
    points: Float[Tensor, "points 3"], motion: Float[Tensor, "3 4"]
) -> Float[Tensor, "points 3"]:
    """Rotate and shift points."""
    return points @ motion[:, :3].T + motion[:, 3]


def project(
    points: Float[Tensor, "points 3"], intrinsics: Float[Tensor, "3 3"]
) -> Float[Tensor, "points 2"]:
    """Return where a camera sees points of its frame, in pixels."""
    image = points @ intrinsics.T
    return image[:, :2] / image[:, 2:]


def motion_between(first: Float[Tensor, "3 4"], second: Float[Tensor, "3 4"]) -> Tensor:
    """Return what carries points from the frame of the first camera to that of the second.

    Args:
        first: from the world to the first camera.
        second: from the world to the second.
    """
    rotation = second[:, :3] @ first[:, :3].T
    return torch.cat([rotation, (second[:, 3] - rotation @ first[:, 3])[:, None]], dim=1)


def rotation_angle(motion: Float[Tensor, "3 4"]) -> float:
    """Return by how many degrees a motion turns."""
    cosine = (motion[:, :3].trace() - 1) / 2
    return float(cosine.clamp(-1, 1).acos().rad2deg())
