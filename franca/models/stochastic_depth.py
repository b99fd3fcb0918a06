"""Stochastic depth by batch subset: the sequences of packed tokens that a branch is computed on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from franca.models.transfer import send

Packing = tuple[tuple[int, int], ...]
"""For each crop size: (number of sequences, tokens per sequence), in the order of the rows."""


@dataclass(frozen=True)
class Subset:
    """The sequences that one residual branch is computed on (batch-subset stochastic depth).

    Args:
        rows: rows of the packed tokens that belong to the kept sequences.
        scale: factor of each row's residual, sequences / kept sequences of its crop size.
        packing: packing of the kept rows.
    """

    rows: Int[Tensor, " kept"]
    scale: Float[Tensor, "kept 1"]
    packing: Packing

    def find(
        self, wanted: Int[Tensor, " wanted"], *, num_rows: int
    ) -> tuple[Int[Tensor, " wanted"], Float[Tensor, "wanted 1"]]:
        """Return where each wanted row is among the kept ones, and its scale.

        A row that is not kept has place 0 and scale 0: the number of rows does not depend on the
        draw, so nothing has to wait for a GPU to count them.

        Args:
            wanted: rows of the packed tokens.
            num_rows: number of all packed tokens.
        """
        place = self.rows.new_zeros(num_rows)
        place[self.rows] = torch.arange(len(self.rows), device=place.device)
        scale = self.scale.new_zeros(num_rows, 1)
        scale[self.rows] = self.scale
        return place[wanted], scale[wanted]


@dataclass(frozen=True)
class DepthSource:
    """What stochastic depth draws from: the image decides, not who computes it or with what else.

    Args:
        generator: from the number of a group of images to its CPU generator.
        group_size: images of a group; of their crops of one size a fixed share is left out.
        images: numbers of the images at hand within the batch of all processes.
    """

    generator: Callable[[int], torch.Generator]
    group_size: int
    images: range


def draw_subsets(
    *, packing: Packing, drop_path: float, count: int, source: DepthSource, device: torch.device
) -> list[Subset]:
    """Draw `count` independent subsets, keeping floor(crops * (1 - drop_path)) of each crop size.

    That share is kept of every group of images, at least one crop; where a group is dealt out over
    processes, each keeps those of the kept ones that it has. All are drawn at once, so that the
    device gets one copy and not one per branch. Source: DINOv2, section 5, "Efficient stochastic
    depth", where a group is the images of one GPU.
    """
    groups = range(
        source.images.start // source.group_size, -(-source.images.stop // source.group_size)
    )
    generators = [source.generator(group) for group in groups]
    branches, starts, lengths, scales, packings = [], [], [], [], []
    first = 0
    for batch, tokens in packing:
        crops = batch // len(source.images) * source.group_size
        kept = max(int(crops * (1 - drop_path)), 1)
        orders = [
            torch.rand(count, crops, generator=g).argsort(dim=1)[:, :kept] for g in generators
        ]
        branch, sequence = _sequences_at_hand(orders, groups, crops=crops, source=source)
        branches.append(branch)
        starts.append(first + tokens * sequence)
        lengths.append(torch.full_like(sequence, tokens))
        scales.append(torch.full(sequence.shape, crops / kept))
        packings.append([(number, tokens) for number in branch.bincount(minlength=count).tolist()])
        first += batch * tokens
    by_branch = torch.cat(branches).argsort(stable=True)
    sequences = (torch.cat(parts)[by_branch] for parts in (starts, lengths, scales))
    return _subsets(*sequences, packings=list(zip(*packings, strict=True)), device=device)


def _sequences_at_hand(
    orders: list[Tensor], groups: range, *, crops: int, source: DepthSource
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " kept"]]:
    """Return branch and local sequence of each kept crop whose image is at hand, ascending."""
    size, images = source.group_size, source.images
    kept = torch.zeros(len(orders[0]), crops // size, len(groups) * size, dtype=torch.bool)
    for place, order in enumerate(orders):
        group = torch.zeros(len(order), crops, dtype=torch.bool).scatter_(1, order, True)
        kept[:, :, place * size : (place + 1) * size] = group.unflatten(1, (-1, size))
    start = images.start - groups.start * size
    at_hand = kept[:, :, start : start + len(images)].flatten(1)
    branches, sequences = at_hand.nonzero().unbind(dim=1)
    return branches, sequences


def _subsets(
    starts: Int[Tensor, " kept"],
    lengths: Int[Tensor, " kept"],
    scales: Float[Tensor, " kept"],
    *,
    packings: Sequence[Packing],
    device: torch.device,
) -> list[Subset]:
    """Count out the rows of kept sequences on the device, which is told three numbers of each.

    Args:
        starts: first row of each sequence, branch by branch.
        lengths: its tokens.
        scales: factor of its residual.
        packings: of each branch.
        device: of the subsets.
    """
    num_rows = int(lengths.sum())
    shifts, tokens = send(torch.stack([starts - (lengths.cumsum(0) - lengths), lengths]), device)
    sequence = torch.repeat_interleave(tokens, output_size=num_rows)  # of each row
    rows = shifts.index_select(0, sequence).add_(torch.arange(num_rows, device=device))
    scale = send(scales, device).index_select(0, sequence)[:, None]
    sizes = [sum(batch * tokens for batch, tokens in packing) for packing in packings]
    return [
        Subset(*drawn)
        for drawn in zip(rows.split(sizes), scale.split(sizes), packings, strict=True)
    ]
