"""In-context segmentation (Hummingbird): label the patches of an image by their nearest patches."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from franca.eval.benchmark import (
    MASKS,
    Benchmark,
    DenseFeatures,
    Outcome,
    SegmentationInputs,
    by_number,
    share,
)
from franca.eval.features import all_tokens
from franca.eval.miou import compare_masks, miou_statistic, pixel_accuracy
from franca.eval.neighbours import cosine_search
from franca.randomness import generator

Grid = tuple[int, int]
_IMAGES = 16  # whose tokens are read at a time; changes no result


def patch_labels(
    masks: UInt8[Tensor, "images height width"], *, grid: Grid, num_classes: int, ignore_index: int
) -> Float[Tensor, "images patches classes"]:
    """Return the share of each class among the pixels of each patch.

    Void pixels count as class 0, as in the reference.

    Raises:
        ValueError: the mask does not divide into the grid, or holds an unknown class.
    """
    images, height, width = masks.shape
    if height % grid[0] or width % grid[1]:
        raise ValueError(f"a mask of {height}x{width} pixels does not divide into {grid} patches")
    filled = masks.long().masked_fill(masks == ignore_index, 0)
    if filled.max() >= num_classes:
        raise ValueError(
            f"mask holds class {int(filled.max())} but there are {num_classes} classes "
            f"(void: {ignore_index}): correct num_classes or ignore_index of the evaluation set"
        )
    tiles = filled.view(images, grid[0], height // grid[0], grid[1], width // grid[1])
    pixels = tiles.transpose(2, 3).reshape(images, grid[0] * grid[1], -1)
    counts = pixels.new_zeros(*pixels.shape[:2], num_classes, dtype=torch.float32)
    counts.scatter_add_(2, pixels, torch.ones_like(pixels, dtype=torch.float32))
    return counts / pixels.shape[2]


def sample_patches(
    labels: Float[Tensor, "images patches classes"],
    uniforms: Float[Tensor, "images patches"],
    *,
    memory_size: int,
) -> Int[Tensor, "images kept"]:
    """Choose the patches of each image that a bounded memory keeps, favouring rare classes.

        for each image, for each patch p:
            score = sum over the classes in p of (number of patches of the image with that class)
            keep p if score * uniform is among the n smallest, n = max(1, memory_size // images)

    Args:
        labels: class shares of the patches.
        uniforms: one draw in [0, 1) per patch.
        memory_size: patches kept of all images together.
    """
    present = (labels > 0).float()
    score = (present * present.sum(1, keepdim=True)).sum(2)
    kept = min(max(1, memory_size // len(labels)), labels.shape[1])
    return (score * uniforms).topk(kept, dim=1, largest=False).indices


def soft_labels(
    patches: Float[Tensor, "queries dim"],
    memory: Float[Tensor, "memory dim"] | Iterable[Tensor],
    memory_labels: Float[Tensor, "memory classes"],
    *,
    neighbours: int,
    temperature: float,
    block: int,
    device: torch.device,
) -> Float[Tensor, "queries classes"]:
    """Average the labels of the nearest patches, weighted by softmax(cosine / temperature)."""
    similarity, index = cosine_search(
        patches, memory, neighbours=neighbours, block=block, device=device
    )
    return mix_labels(similarity, index, memory_labels, temperature=temperature, block=block)


def mix_labels(
    similarity: Float[Tensor, "queries neighbours"],
    index: Int[Tensor, "queries neighbours"],
    memory_labels: Float[Tensor, "memory classes"],
    *,
    temperature: float,
    block: int,
) -> Float[Tensor, "queries classes"]:
    """Average the labels of what was found, weighted by softmax(cosine / temperature)."""
    weights = (similarity / temperature).softmax(1)
    mixed = [
        torch.einsum("qk,qkc->qc", weight, memory_labels[rows])
        for weight, rows in zip(weights.split(block), index.split(block), strict=True)
    ]
    return torch.cat(mixed)


def paint(
    labels: Float[Tensor, "images patches classes"], *, grid: Grid, size: Grid
) -> UInt8[Tensor, "images height width"]:
    """Upsample class shares to pixels (bilinear) and take the largest."""
    maps = labels.transpose(1, 2).unflatten(2, grid)
    enlarged = interpolate(maps, size=size, mode="bilinear", align_corners=False)
    return enlarged.argmax(1).to(torch.uint8)


def build_memory(
    train: DenseFeatures,
    *,
    num_classes: int,
    ignore_index: int,
    memory_size: int | None,
    seed: int,
) -> tuple[Float[Tensor, "memory dim"] | Iterable[Tensor], Float[Tensor, "memory classes"]]:
    """Return the patches to retrieve from and their class shares; None keeps every patch.

    Every patch of tokens that are not stored comes in blocks, to be read once.
    """
    labels = patch_labels(
        train.masks, grid=train.grid, num_classes=num_classes, ignore_index=ignore_index
    )
    if memory_size is None:
        if isinstance(train.patches, Tensor):
            return train.patches.flatten(0, 1), labels.flatten(0, 1)
        blocks = (tokens.flatten(0, 1) for tokens in train.patches.split(_IMAGES))
        return blocks, labels.flatten(0, 1)
    source = generator(seed, "evaluate/in_context/memory")
    uniforms = torch.rand(labels.shape[:2], generator=source)
    kept = sample_patches(labels, uniforms, memory_size=memory_size)
    chosen = [
        tokens[torch.arange(len(tokens))[:, None], which]
        for tokens, which in zip(train.patches.split(_IMAGES), kept.split(_IMAGES), strict=True)
    ]
    rows = torch.arange(len(kept))[:, None]
    return torch.cat(chosen).flatten(0, 1), labels[rows, kept].flatten(0, 1)


def in_context(
    inputs: SegmentationInputs,
    *,
    seed: int,
    device: torch.device,
    neighbours: int,
    temperature: float,
    memory_size: int | None,
    block: int,
) -> Outcome:
    """Segment test images by retrieving labelled training patches.

    Args:
        inputs: features and masks.
        seed: of the choice of patches for a bounded memory.
        device: where to search.
        neighbours: patches retrieved per patch.
        temperature: of their weights (beta in the Hummingbird paper).
        memory_size: patches in the memory; None keeps all.
        block: rows per block of the search.
    """
    test = inputs.test
    memory, memory_labels = build_memory(
        inputs.train,
        num_classes=inputs.num_classes,
        ignore_index=inputs.ignore_index,
        memory_size=memory_size,
        seed=seed,
    )
    height, width = test.masks.shape[1:]
    shares = soft_labels(
        all_tokens(test.patches),
        memory,
        memory_labels,
        neighbours=neighbours,
        temperature=temperature,
        block=block,
        device=device,
    )
    painted = (
        paint(one[None], grid=test.grid, size=(height, width))[0]
        for one in shares.unflatten(0, test.patches.shape[:2])
    )
    confusion, masks = compare_masks(
        test.masks,
        painted,
        num_classes=inputs.num_classes,
        ignore_index=inputs.ignore_index,
    )
    return Outcome({"confusion": confusion}, predictions=by_number("predicted", masks))


BENCHMARK = Benchmark(
    name="in_context",
    version="1.0",
    protocol="patch retrieval, softmax-weighted labels of the nearest training patches, "
    "square resize, bank without augmentation",
    source="vpariza/open-hummingbird-eval@5e79da2 with exact search; Franca, Table 3",
    kind="segmentation",
    quick=True,
    metrics=(
        share("miou", "confusion", miou_statistic("hungarian", "all"), "normal"),
        share("miou_identity", "confusion", miou_statistic("identity", "all")),
        share("miou_present", "confusion", miou_statistic("identity", "present")),
        share("pixel_accuracy", "confusion", pixel_accuracy),
    ),
    run=in_context,
    predictions=MASKS,
)
