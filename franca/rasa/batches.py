"""Where the fits read tokens and targets from: batches that are the same whenever asked for."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from franca.randomness import numpy_generator
from franca.rasa.moments import check_finite


@runtime_checkable
class TokenBatches(Protocol):
    """Batches of tokens and targets that depend on (epoch, index) and nothing else.

    Attributes:
        dim: channels of a token.
        num_targets: numbers that belong to a token.
        num_batches: batches in an epoch.
    """

    dim: int
    num_targets: int
    num_batches: int

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """Return features [tokens, dim] and targets [tokens, targets] in [0, 1]."""
        ...


def iterate(
    batches: TokenBatches, *, epochs: int
) -> Iterator[tuple[Float[Tensor, "tokens dim"], Float[Tensor, "tokens targets"]]]:
    """Yield every batch of so many epochs, in order."""
    for step in tqdm(range(epochs * batches.num_batches), desc="tokens", unit="batch"):
        yield batches.batch(*divmod(step, batches.num_batches))


def epoch_order(num_images: int, *, epoch: int, seed: int, shuffle: bool) -> np.ndarray:
    """Return the order in which an epoch visits the images."""
    if not shuffle:
        return np.arange(num_images)
    return numpy_generator(seed, "rasa-order", epoch).permutation(num_images)


def count_batches(num_images: int, *, batch_size: int) -> int:
    """Return the number of full batches; as in the released code a short last one is left out.

    Raises:
        ValueError: fewer images than a batch.
    """
    if num_images < batch_size:
        raise ValueError(
            f"{num_images} images do not fill a batch of {batch_size}: "
            "raise rasa.max_images or rasa.probe.num_images, or lower rasa.presets.*.batch_size"
        )
    return num_images // batch_size


class ArrayBatches:
    """Batches of features that are in memory already, whole images at a time.

    Args:
        features: tokens of every image.
        targets: of every token, in [0, 1]; one set for all images, or one for each.
        batch_size: images.
        seed: of the order.
        shuffle: visit the images in another order each epoch.

    Raises:
        ValueError: NaN or infinite features, or targets of another grid than the features.
    """

    def __init__(
        self,
        features: Float[Tensor, "images tokens dim"],
        targets: Float[Tensor, "#images positions targets"],
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
    ) -> None:
        check_finite(features)
        check_tokens(features.shape[1], targets.shape[1])
        self.dim, self.num_targets = features.shape[2], targets.shape[2]
        self.num_batches = count_batches(len(features), batch_size=batch_size)
        self._features = features
        self._targets = targets.expand(len(features), -1, -1)
        self._batch_size, self._seed, self._shuffle = batch_size, seed, shuffle

    def batch(
        self, epoch: int, index: int
    ) -> tuple[Float[Tensor, "tokens dim"], Float[Tensor, "tokens targets"]]:
        """Return features and targets of one batch."""
        order = epoch_order(
            len(self._features), epoch=epoch, seed=self._seed, shuffle=self._shuffle
        )
        batch = slice(index * self._batch_size, (index + 1) * self._batch_size)
        chosen = order[batch] if self._shuffle else batch  # a slice is a view, not a copy
        return self._features[chosen].flatten(0, 1), self._targets[chosen].flatten(0, 1)


def check_tokens(num_tokens: int, num_positions: int) -> None:
    """Refuse targets of another grid.

    Raises:
        ValueError: an image's features and targets differ in number.
    """
    if num_tokens != num_positions:
        raise ValueError(
            f"features hold {num_tokens} tokens an image and the targets' grid {num_positions}: "
            "build the targets for the grid that the features come from"
        )
