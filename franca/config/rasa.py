"""Parameters of the stage rasa: what to remove from patch tokens, how, and how to check it."""

from typing import Literal

from pydantic import Field, model_validator

from franca.config.base import Section

Probability = Field(ge=0, le=1, description="share of the views")
Strength = Field(ge=0, description="half-width of the range of factors around 1")


class Views(Section):
    """Random views of the training images; see `franca.rasa.views.ViewSettings`."""

    min_scale: float = Field(gt=0, le=1, description="smallest share of the image in a crop")
    jitter_probability: float = Probability
    brightness: float = Strength
    contrast: float = Strength
    saturation: float = Strength
    hue: float = Field(ge=0, le=0.5, description="largest shift of hue, in turns")
    gray_probability: float = Probability
    blur_probability: float = Probability
    blur_sigma: tuple[float, float] = Field(description="range of the blur's deviation, in pixels")
    flip_probability: float = Field(ge=0, le=1, description="of each of the two flips")
    rotation: Literal["none", "quarter_turns", "reflect", "black_corners"] = Field(
        description="quarter_turns: multiples of 90 degrees; reflect, black_corners: any angle "
        "within 90 degrees. Black corners, as released, give position away"
    )
    rotation_probability: float = Probability
    normalise_std: tuple[float, float, float] = Field(
        description="per channel; the released code has .255 where ImageNet has .225"
    )

    @model_validator(mode="after")
    def _sigma_in_order(self) -> "Views":
        low, high = self.blur_sigma
        if not 0 <= low <= high:
            raise ValueError(f"blur_sigma {low}, {high} is no range: give 0 <= low <= high")
        return self


class Preset(Section):
    """How a map is fitted. The closed forms read epochs, batch_size, shuffle and views only."""

    rounds: int = Field(ge=1, description="planes removed one after another (paper: 8)")
    epochs: int = Field(ge=1, description="views of every image; in each round, all of them")
    batch_size: int = Field(ge=1, description="images of a step")
    learning_rate: float = Field(gt=0, description="peak of AdamW's cosine (paper: 2e-3)")
    shuffle: bool = Field(description="another order of the images each epoch")
    views: Views


class Probe(Section):
    """Held-out check: images for fitting the probes, and as many again for scoring them."""

    num_images: int = Field(ge=2, description="images in each of the two held-out sets")
    max_tokens: int = Field(ge=1, description="tokens that the small network is fitted on")
    hidden: int = Field(ge=1, description="hidden units of the small network")
    steps: int = Field(ge=1, description="steps of its fit")
    batch_size: int = Field(ge=1, description="tokens of a step")
    learning_rate: float = Field(gt=0, description="peak of its cosine")


class Rasa(Section):
    """Removal of Absolute Spatial Attributes, and of any other number known per patch."""

    method: Literal["rasa", "rasa_orthogonal", "sal", "leace"] = Field(
        description="rasa: as published; rasa_orthogonal: planes orthogonal to each other, an "
        "exact projector; sal, leace: closed forms, provably clean of linear traces"
    )
    target: Literal[
        "linear", "fourier", "brightness", "sharpness", "border_distance", "crop_scale"
    ] = Field(description="what to remove: linear and fourier are position")
    fourier_order: int | None = Field(
        ge=1, description="half-waves along each side for target fourier; null for the others"
    )
    image_set: str | None = Field(
        description="which of pack_highres.sets to fit on (paper: PASCAL VOC); null: the images of "
        "fine-tuning"
    )
    max_images: int | None = Field(ge=1, description="images to fit on; null: all but the held-out")
    cache_gigabytes: float = Field(
        ge=0, description="memory for features; what does not fit is extracted again each round"
    )
    preset: str = Field(description="which of the presets to use")
    presets: dict[str, Preset]
    probe: Probe

    @property
    def fit(self) -> Preset:
        """The preset in use."""
        return self.presets[self.preset]

    @model_validator(mode="after")
    def _preset_exists(self) -> "Rasa":
        if self.preset not in self.presets:
            raise ValueError(f"preset {self.preset!r} is none of {', '.join(self.presets)}")
        return self

    @model_validator(mode="after")
    def _order_goes_with_fourier(self) -> "Rasa":
        if (self.target == "fourier") != (self.fourier_order is not None):
            raise ValueError(
                f"fourier_order is {self.fourier_order} with target {self.target}: "
                "set it for target fourier, and to null otherwise"
            )
        return self
