"""Multi-crop augmentation: one image in, two global and several local crops out.

What is random is drawn in `augment_draws`; how crops are computed is the backend's affair.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import UInt8

from franca.config.augment import Augment, GlobalCrops
from franca.data.augment_draws import CropParams, View, draw_multicrop
from franca.data.augment_opencv import apply_opencv, cut

NUM_GLOBAL_CROPS = 2
Backend = Callable[[np.ndarray, Sequence[CropParams]], list[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class MultiCrop:
    """Turns an image into its crops.

    Attributes:
        views: the two global crops, then the local ones.
        backend: `apply_torchvision`, `apply_opencv` with its option bound, or one that only cuts.
        colours_later: whether colours and blur are left to `franca.data.augment_device`.
    """

    views: tuple[View, ...]
    backend: Backend
    colours_later: bool = False

    @property
    def num_local_crops(self) -> int:
        """Number of local crops an image."""
        return len(self.views) - NUM_GLOBAL_CROPS

    def draw(
        self, image: UInt8[np.ndarray, "height width 3"], *, rng: np.random.Generator
    ) -> list[CropParams]:
        """Draw what happens to each crop; equal generators draw the same for every backend."""
        height, width, _ = image.shape
        return draw_multicrop(rng, height=height, width=width, views=self.views)

    def __call__(
        self, image: UInt8[np.ndarray, "height width 3"], *, rng: np.random.Generator
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Return one RGB array a view."""
        return self.backend(image, self.draw(image, rng=rng))


def build_augmentation(cfg: Augment) -> MultiCrop:
    """Build the augmentation that a section of the parameters describes."""
    return MultiCrop(
        views=_views(cfg), backend=_backend(cfg), colours_later=cfg.backend == "device"
    )


def _cut_all(image: np.ndarray, crops: Sequence[CropParams]) -> list[np.ndarray]:
    return [cut(image, crop) for crop in crops]


def _backend(cfg: Augment) -> Backend:
    if cfg.backend == "device":
        return _cut_all
    if cfg.backend == "opencv":
        return partial(apply_opencv, approximate_colour=cfg.approximate_colour)
    # Here, because importing torchvision takes ten seconds that the other backend need not wait.
    from franca.data.augment_torchvision import apply_torchvision

    return apply_torchvision


def _views(cfg: Augment) -> tuple[View, ...]:
    jitter, blur = cfg.jitter, cfg.blur

    def view(crops: GlobalCrops, *, blur_probability: float, solarize: float) -> View:
        return View(
            size=crops.size,
            scale=crops.scale,
            flip=cfg.flip,
            jitter=jitter.probability,
            strengths=(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue),
            grayscale=cfg.grayscale,
            blur=1 - blur_probability if blur.legacy else blur_probability,
            blur_kernel=blur.kernel_size,
            blur_sigma=blur.sigma,
            solarize=solarize,
            solarize_threshold=cfg.solarize.threshold,
        )

    first = view(cfg.global_crops, blur_probability=blur.first_global, solarize=0.0)
    second = view(
        cfg.global_crops, blur_probability=blur.second_global, solarize=cfg.solarize.probability
    )
    local = view(cfg.local_crops, blur_probability=blur.local, solarize=0.0)
    return (first, second, *[local] * cfg.local_crops.count)
