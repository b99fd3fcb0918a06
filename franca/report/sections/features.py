"""Chapter: what the features make of sample images: colours of patches, and masks in context."""

from collections.abc import Mapping
from typing import Final

from PIL import Image

from franca.report import pictures
from franca.report.blocks import Grid, Missing, Section, Thumbnail
from franca.report.features import Samples, colours, paint_classes
from franca.report.results import HIGHRES, RASA

_TITLES: Final = {HIGHRES: "before RASA", RASA: "after RASA"}


def build_features(samples: Mapping[str, Samples], *, side: int) -> Section:
    """Build the chapter.

    Args:
        samples: What `read_samples` returned, by checkpoint, the same images in each.
        side: Long side of the photographs in pixels.
    """
    title, slug = "Features", "features"
    shown = {name: samples[name] for name in _TITLES if name in samples}
    if not shown:
        text = "The evaluation stored no patch features of sample images, so none are shown."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    images = next(iter(shown.values())).images
    mapped = [colours(sample) for sample in shown.values()]
    rows = tuple(
        (_photograph(images[i], side), *(pictures.drawing(colour[i]) for colour in mapped))
        for i in range(len(images))
    )
    grid = Grid(
        name="features-pca",
        caption=(
            "First three principal components of the patch features as red, green and blue. Each "
            "column is one PCA over all of its patches, so colours compare down a column; the "
            "largest loading of each component is positive, so they do not flip between runs."
        ),
        columns=("image", *(_TITLES[name] for name in shown)),
        rows=rows,
        pixelated=True,
    )
    return Section(slug=slug, title=title, blocks=(grid, *_masks(shown, side)))


def _masks(shown: Mapping[str, Samples], side: int) -> list[Grid]:
    """Put the masks painted in context beside the true ones, if there are any."""
    painted = {
        name: sample.segmented for name, sample in shown.items() if sample.segmented is not None
    }
    if not painted:
        return []
    first = next(iter(shown.values()))
    rows = tuple(
        (
            _photograph(image, side),
            pictures.drawing(paint_classes(mask)),
            *(pictures.drawing(paint_classes(masks[i])) for masks in painted.values()),
        )
        for i, (image, mask) in enumerate(zip(first.images, first.masks, strict=True))
    )
    caption = (
        "True masks, and masks painted in context: each patch takes the classes of its nearest "
        "patches among the training images; nothing is trained. Colours are those of PASCAL VOC; "
        "void is pale."
    )
    columns = ("image", "true mask", *(f"in context, {_TITLES[name]}" for name in painted))
    return [
        Grid(name="features-masks", caption=caption, columns=columns, rows=rows, pixelated=True)
    ]


def _photograph(pixels: pictures.Pixels, side: int) -> Thumbnail:
    return pictures.photograph(pictures.fit(Image.fromarray(pixels), side=side))
