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
from franca.data.augment_opencv import apply_opencv

NUM_GLOBAL_CROPS = 2
Backend = Callable[[np.ndarray, Sequence[CropParams]], list[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class MultiCrop:
    """Turns an image into its crops.

    Attributes:
        views: the two global crops, then the local ones.
        backend: `apply_torchvision`, or `apply_opencv` with its option bound.
    """

    views: tuple[View, ...]
    backend: Backend

    @property
    def num_local_crops(self) -> int:
        """Number of local crops an image."""
        return len(self.views) - NUM_GLOBAL_CROPS

    def __call__(
        self, image: UInt8[np.ndarray, "height width 3"], *, rng: np.random.Generator
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Return one RGB array a view; equal generators draw equal crops whatever the backend."""
        height, width, _ = image.shape
        return self.backend(
            image, draw_multicrop(rng, height=height, width=width, views=self.views)
        )


def build_augmentation(cfg: Augment) -> MultiCrop:
    """Build the augmentation that a section of the parameters describes."""
    return MultiCrop(views=_views(cfg), backend=_backend(cfg))


def _backend(cfg: Augment) -> Backend:
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
