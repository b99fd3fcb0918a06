"""Parameters of the crops that an image becomes, and of reading images."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from franca.config.base import Section

Probability = Annotated[float, Field(ge=0, le=1)]


class GlobalCrops(Section):
    """The two large crops that student and teacher see."""

    size: int = Field(ge=14, le=4096, description="side in pixels")
    scale: tuple[float, float] = Field(description="least and greatest share of the image's area")

    @model_validator(mode="after")
    def _scale_is_a_range_of_shares(self) -> "GlobalCrops":
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"scale {[low, high]} must satisfy 0 < least <= greatest <= 1")
        return self


class LocalCrops(GlobalCrops):
    """The small crops that only the student sees."""

    count: int = Field(ge=0, le=64, description="crops an image")


class Jitter(Section):
    """Random brightness, contrast, saturation and hue, in random order (ColorJitter)."""

    probability: Probability = Field(description="share of crops that are jittered")
    brightness: float = Field(ge=0, le=1, description="factor is drawn from 1 ± this")
    contrast: float = Field(ge=0, le=1, description="factor is drawn from 1 ± this")
    saturation: float = Field(ge=0, le=1, description="factor is drawn from 1 ± this")
    hue: float = Field(ge=0, le=0.5, description="shift is drawn from ± this, in turns")


class Blur(Section):
    """Gaussian blur."""

    kernel_size: int = Field(ge=3, le=63, description="width of the kernel in pixels, odd")
    sigma: tuple[float, float] = Field(description="least and greatest standard deviation, pixels")
    first_global: Probability = Field(description="probability for the first global crop")
    second_global: Probability = Field(description="probability for the second global crop")
    local: Probability = Field(description="probability for each local crop")
    legacy: bool = Field(
        description="blur with 1 - probability, as the code of DINOv2 and Franca does (DINOv2 #411)"
    )

    @model_validator(mode="after")
    def _kernel_and_sigma_make_sense(self) -> "Blur":
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd")
        low, high = self.sigma
        if not 0 < low <= high:
            raise ValueError(f"sigma {[low, high]} must satisfy 0 < least <= greatest")
        return self


class Solarize(Section):
    """Inversion of bright pixels, in the second global crop only."""

    probability: Probability = Field(description="share of second global crops that are solarized")
    threshold: int = Field(ge=0, le=256, description="least level that is inverted")


class Augment(Section):
    """DINOv2's multi-crop augmentation, as the paper uses it."""

    global_crops: GlobalCrops
    local_crops: LocalCrops
    flip: Probability = Field(description="share of crops that are mirrored")
    jitter: Jitter
    grayscale: Probability = Field(description="share of crops that lose their colour")
    blur: Blur
    solarize: Solarize
    backend: Literal["torchvision", "opencv", "device"] = Field(
        description="torchvision: the paper's operations; opencv: the same within about a level; "
        "device: opencv cuts and resizes, colours and blur are left to the device that trains"
    )
    approximate_colour: bool = Field(
        description="opencv only: jitter and grayscale as one linear map, clipped once at the end"
    )

    @model_validator(mode="after")
    def _only_opencv_approximates(self) -> "Augment":
        if self.approximate_colour and self.backend != "opencv":
            raise ValueError(
                "approximate_colour needs backend: opencv; set approximate_colour: false"
            )
        return self


class Loading(Section):
    """How images are read; nothing here changes a batch."""

    workers: int = Field(ge=0, le=256, description="processes that decode and crop; 0: in-process")
    prefetch: int = Field(ge=1, le=64, description="batches that each worker prepares ahead")
    cache_megabytes: int = Field(
        ge=0, description="keep the decoded images in memory if they all fit in this"
    )
    max_undecodable: float = Field(
        ge=0, lt=1, description="stop when a greater share of the images cannot be decoded"
    )
