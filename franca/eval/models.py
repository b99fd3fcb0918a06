"""The contract of a model that can be evaluated, and what a model may show besides."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Tokens(Protocol):
    """What a model returns for a batch, registers removed."""

    @property
    def cls(self) -> Float[Tensor, "batch dim"]:
        """CLS tokens."""

    @property
    def patches(self) -> Float[Tensor, "batch patches dim"]:
        """Patch tokens, row-major."""


@runtime_checkable
class FeatureModel(Protocol):
    """A model that can be evaluated."""

    @property
    def embed_dim(self) -> int:
        """Width of a token."""

    @property
    def patch_size(self) -> int:
        """Pixels of a side of a patch."""

    def forward_features(self, images: Float[Tensor, "batch 3 height width"]) -> Tokens:
        """Return the last block's tokens of ImageNet-normalised images, after the final norm."""


@runtime_checkable
class BlockModel(FeatureModel, Protocol):
    """A model that shows the tokens of any of its blocks, with and without the final norm."""

    @property
    def depth(self) -> int:
        """Number of blocks."""

    def forward_intermediate(
        self,
        images: Float[Tensor, "batch 3 height width"],
        blocks: int | Sequence[int],
        *,
        norm: bool,
    ) -> Sequence[Tokens]:
        """Return the tokens after the last n blocks, or after the blocks of 0-based numbers."""


@runtime_checkable
class KeyModel(FeatureModel, Protocol):
    """A model that shows the keys of its last block's attention."""

    def last_keys(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the keys, heads concatenated; those of the patches last and row-major."""


@runtime_checkable
class AttentionModel(BlockModel, Protocol):
    """A model that also shows what CLS attends to."""

    def last_attention(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch heads patches"]:
        """Return how much CLS attends to each patch in the last block, head by head."""


def shows_blocks(model: object) -> TypeGuard[BlockModel]:
    """Say whether a model keeps the whole contract of `BlockModel`."""
    return _keeps(model, BlockModel)


def shows_keys(model: object) -> TypeGuard[KeyModel]:
    """Say whether a model keeps the whole contract of `KeyModel`."""
    return _keeps(model, KeyModel)


def shows_attention(model: object) -> TypeGuard[AttentionModel]:
    """Say whether a model keeps the whole contract of `AttentionModel`."""
    return _keeps(model, AttentionModel)


def _keeps(model: object, contract: type) -> bool:
    """Say whether a model has all that a contract names, and its methods take what it passes.

    `isinstance` alone sees names: a method that lacks a parameter would fail midway.
    """
    if not isinstance(model, contract):
        return False
    methods = [
        (name, each)
        for part in contract.__mro__
        for name, each in vars(part).items()
        if inspect.isfunction(each) and not name.startswith("_")
    ]
    return all(_takes(getattr(model, name), inspect.signature(each)) for name, each in methods)


def _takes(method: Callable[..., Any], wanted: inspect.Signature) -> bool:
    _, *parameters = wanted.parameters.values()  # without `self`
    named = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    try:
        inspect.signature(method).bind(
            *(None for each in parameters if each.name not in named), **dict.fromkeys(named)
        )
    except TypeError:
        return False
    return True
