"""Chapter: what the student sees, its crops and the patches hidden from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageColor, ImageDraw

from franca.data.augment import NUM_GLOBAL_CROPS, MultiCrop
from franca.data.augment_draws import CropParams, draw_multicrop
from franca.masking.batch import Masker
from franca.randomness import numpy_generator
from franca.report import pictures
from franca.report.blocks import Grid, Missing, Prose, Section, Thumbnail
from franca.report.figures import PAPER, SERIES
from franca.report.pictures import Pixels
from franca.report.shards import StoredImage

_SIDE: Final = 256
_VEIL: Final = 0.88


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How training looks at an image.

    Attributes:
        augmentation: Makes the crops.
        masker: Draws the masks of the global crops.
        num_patches: Patches of a global crop.
        ratio: Least and greatest share of hidden patches.
    """

    augmentation: MultiCrop
    masker: Masker
    num_patches: int
    ratio: tuple[float, float]


def build_views(
    images: Sequence[StoredImage], settings: ViewSettings | None, *, seed: int
) -> Section:
    """Build the chapter.

    Args:
        images: Training images to show.
        settings: Those of pretraining, None where they are not known.
        seed: The same seed draws the same crops and masks.
    """
    title, slug = "What the student sees", "views"
    if settings is None or not images:
        text = "Without packed images and the parameters of pretraining there is nothing to draw."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    masks = draw_masks(settings, number=NUM_GLOBAL_CROPS * len(images), seed=seed)
    rows = tuple(
        _row(image, number, settings.augmentation, pair, seed=seed)
        for number, (image, pair) in enumerate(
            zip(images, np.split(masks, len(images)), strict=True)
        )
    )
    intro = Prose(
        text=(
            f"Each image becomes {NUM_GLOBAL_CROPS} global and "
            f"{settings.augmentation.num_local_crops} local crops. Training masks only a share of "
            "the global crops; here all are masked, more and more from top to bottom."
        )
    )
    grid = Grid(
        name="views",
        caption=(
            "Training images with the boxes of their crops (blue: global, orange: local), then "
            "the crops after augmentation. Veiled patches are hidden from the student, which has "
            "to predict the teacher's clusters there."
        ),
        columns=("image", *("global crop",) * NUM_GLOBAL_CROPS, "local crops"),
        rows=rows,
    )
    return Section(slug=slug, title=title, blocks=(intro, grid))


def draw_masks(
    settings: ViewSettings, *, number: int, seed: int
) -> Bool[np.ndarray, "masks rows columns"]:
    """Draw masks that hide from the least to the greatest share of patches, in even steps."""
    counts = np.floor(settings.num_patches * np.linspace(*settings.ratio, number)).astype(np.int64)
    return settings.masker(counts, generator=numpy_generator(seed, "report/masks"))


def _row(
    stored: StoredImage,
    number: int,
    augmentation: MultiCrop,
    masks: Bool[np.ndarray, "globals rows columns"],
    *,
    seed: int,
) -> tuple[Thumbnail, ...]:
    image = np.asarray(pictures.decode(stored.data))
    height, width, _ = image.shape
    # Two equal generators: the boxes that are drawn are those of the crops beside them.
    boxes, crops = (numpy_generator(seed, "report/views", number) for _ in range(2))
    params = draw_multicrop(boxes, height=height, width=width, views=augmentation.views)
    views = augmentation(image, rng=crops)
    veiled = [
        pictures.photograph(_veil(crop, mask), label=f"global crop, {mask.mean():.0%} hidden")
        for crop, mask in zip(views[:NUM_GLOBAL_CROPS], masks, strict=True)
    ]
    outlined = pictures.photograph(_outline(image, params), label="image with boxes of its crops")
    tiled = pictures.photograph(_tile(views[NUM_GLOBAL_CROPS:]), label="local crops")
    return outlined, *veiled, tiled


def _outline(image: Pixels, params: Sequence[CropParams]) -> Image.Image:
    """Draw the boxes of the crops on an image scaled to `_SIDE`."""
    scale = _SIDE / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for number, crop in enumerate(params):
        top, left, height, width = (edge * scale for edge in crop.box)
        colour = SERIES[0] if number < NUM_GLOBAL_CROPS else SERIES[1]
        box = (left, top, left + width - 1, top + height - 1)
        draw.rectangle(box, outline=colour, width=3 if number < NUM_GLOBAL_CROPS else 2)
    return picture


def _veil(crop: Pixels, mask: Bool[np.ndarray, "rows columns"]) -> Image.Image:
    """Cover the hidden patches of a crop with the colour of paper."""
    size = (_SIDE, _SIDE)
    picture = Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC)
    opacity = Image.fromarray((mask * 255 * _VEIL).astype(np.uint8))
    paper = Image.new("RGB", size, ImageColor.getrgb(PAPER))
    return Image.composite(paper, picture, opacity.resize(size, Image.Resampling.NEAREST))


def _tile(crops: Sequence[Pixels]) -> Image.Image:
    """Set the local crops side by side, in a block as square as they allow."""
    per_row = max(1, math.ceil(math.sqrt(len(crops))))
    cell = _SIDE // per_row
    height = math.ceil(len(crops) / per_row) * cell
    canvas = Image.new("RGB", (_SIDE, max(1, height)), ImageColor.getrgb(PAPER))
    for number, crop in enumerate(crops):
        row, column = divmod(number, per_row)
        tile = Image.fromarray(crop).resize((cell - 4, cell - 4), Image.Resampling.BICUBIC)
        canvas.paste(tile, (column * cell + 2, row * cell + 2))
    return canvas
