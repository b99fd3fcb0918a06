"""Patch tokens of random views, extracted from a frozen backbone when a fit asks for them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from franca.models.vit import VisionTransformer
from franca.randomness import numpy_generator
from franca.rasa.batches import check_tokens, count_batches, epoch_order
from franca.rasa.moments import check_finite
from franca.rasa.targets import Target
from franca.rasa.views import View, ViewSettings, draw_view, normalise


@runtime_checkable
class ImageSource(Protocol):
    """Images by number."""

    def __getitem__(self, index: int) -> Image.Image:
        """Return an image."""
        ...


class ViewBatches:
    """Batches of patch tokens, one view of every image an epoch.

    A view depends on (seed, purpose, epoch, image): every round sees the same views, so that they
    may be kept. Keeping changes the time only, never a byte.

    Args:
        images: the images.
        indices: those to use.
        model: frozen backbone, in evaluation mode.
        target: numbers of every patch.
        views: how views are drawn.
        side: of a view, in pixels; a multiple of the patch size.
        batch_size: images.
        shuffle: visit the images in another order each epoch.
        seed: of views and order.
        purpose: keeps the views of different uses apart.
        cache_bytes: memory for features to keep.

    Raises:
        ValueError: a side that is no multiple of the patch size, or too few images.
    """

    def __init__(
        self,
        images: ImageSource,
        indices: Sequence[int],
        *,
        model: VisionTransformer,
        target: Target,
        views: ViewSettings,
        side: int,
        batch_size: int,
        shuffle: bool,
        seed: int,
        purpose: str,
        cache_bytes: int,
    ) -> None:
        if side % model.patch_size:
            raise ValueError(
                f"views of {side} pixels do not divide into patches of {model.patch_size}: "
                f"choose a multiple of {model.patch_size}"
            )
        self.num_batches = count_batches(len(indices), batch_size=batch_size)
        self.dim = model.embed_dim
        self._images, self._indices, self._model = images, list(indices), model
        self._target, self._views, self._side = target, views, side
        self._batch_size, self._shuffle = batch_size, shuffle
        self._seed, self._purpose = seed, purpose
        self._cache: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._cache_left = cache_bytes
        self.num_targets = self.batch(0, 0)[1].shape[1]

    def batch(
        self, epoch: int, index: int
    ) -> tuple[Float[Tensor, "tokens dim"], Float[Tensor, "tokens targets"]]:
        """Return features and targets of one batch.

        Raises:
            ValueError: NaN or infinite features, or targets of another grid than the features.
        """
        if (epoch, index) not in self._cache:
            extracted = self._extract(epoch, index)
            size = sum(part.nbytes for part in extracted)
            if size > self._cache_left:
                return extracted
            self._cache_left -= size
            self._cache[epoch, index] = extracted
        return self._cache[epoch, index]

    @torch.no_grad()
    def _extract(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        order = epoch_order(len(self._indices), epoch=epoch, seed=self._seed, shuffle=self._shuffle)
        chosen = order[index * self._batch_size : (index + 1) * self._batch_size]
        drawn = [self._draw(epoch, self._indices[place]) for place in chosen]
        pixels = normalise(torch.stack([v.image for v in drawn]), std=self._views.normalise_std)
        device = self._model.norm.weight.device
        features = self._model.forward_features(pixels.to(device))
        targets = torch.stack([self._target(view, features.grid) for view in drawn]).to(device)
        check_tokens(features.patches.shape[1], targets.shape[1])
        check_finite(features.patches)
        return features.patches.flatten(0, 1), targets.flatten(0, 1)

    def _draw(self, epoch: int, image: int) -> View:
        random = numpy_generator(self._seed, f"rasa-view-{self._purpose}", epoch, image)
        return draw_view(self._images[image], side=self._side, settings=self._views, random=random)
