"""Chapter: what the model makes of sample images: colours, masks, attention and norms."""

from collections.abc import Mapping
from typing import Final

from PIL import Image

from franca.report import pictures
from franca.report.blocks import Grid, Missing, Section, Thumbnail
from franca.report.features import Numbers, Samples, colours, heat, paint_classes
from franca.report.results import HIGHRES, RANDOM, RASA

_TITLES: Final = {HIGHRES: "before RASA", RASA: "after RASA"}
_PHASES: Final = {RANDOM: "untrained", HIGHRES: "trained"}


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
    inner = _inner({name: samples[name] for name in _PHASES if name in samples}, side)
    return Section(slug=slug, title=title, blocks=(grid, *_masks(shown, side), *inner))


def _masks(shown: Mapping[str, Samples], side: int) -> list[Grid]:
    """Put masks painted in context and by clusters beside the true ones, if there are any."""
    painted = {
        f"{kind}, {_TITLES[name]}": masks
        for kind, field in (("in context", "segmented"), ("clusters", "clustered"))
        for name, sample in shown.items()
        if (masks := getattr(sample, field)) is not None
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
        "True masks, and masks without any training. In context: each patch takes the classes of "
        "its nearest patches among the training images. Clusters: as many as classes, of all test "
        "images' patches, each painted as the class that it overlaps best when no two share one. "
        "Colours are those of PASCAL VOC; void is pale."
    )
    return [
        Grid(
            name="features-masks",
            caption=caption,
            columns=("image", "true mask", *painted),
            rows=rows,
            pixelated=True,
        )
    ]


def _inner(shown: Mapping[str, Samples], side: int) -> list[Grid]:
    """Show what CLS attends to and how long patch tokens are, where the model shows it."""
    columns = {}
    for name, sample in shown.items():
        if sample.attention is not None:
            columns[f"attention, {_PHASES[name]}"] = _attention(sample, sample.attention)
    for name, sample in shown.items():
        if sample.norms is not None:
            columns[f"norms, {_PHASES[name]}"] = _norms(sample, sample.norms)
    if not columns:
        return []
    images = next(iter(shown.values())).images
    rows = tuple(
        (_photograph(image, side), *(pictures.drawing(maps[i]) for maps in columns.values()))
        for i, image in enumerate(images)
    )
    ranges = "; ".join(
        f"{_PHASES[name]} {sample.norms.min():.1f} to {sample.norms.max():.1f}"
        for name, sample in shown.items()
        if sample.norms is not None
    )
    caption = (
        "Attention of CLS in the last block, mean over heads, each image from 0 to its largest. "
        "Lengths of patch tokens before the final norm, one scale a column"
        + (f" ({ranges})" if ranges else "")
        + ": patches far longer than the others hold no local content. RASA changes neither."
    )
    return [
        Grid(
            name="features-attention",
            caption=caption,
            columns=("image", *columns),
            rows=rows,
            pixelated=True,
        )
    ]


def _attention(sample: Samples, attention: Numbers) -> list[pictures.Pixels]:
    maps = attention.mean(axis=1).reshape(-1, *sample.grid)
    return [heat(one, low=0.0, high=float(one.max())) for one in maps]


def _norms(sample: Samples, norms: Numbers) -> list[pictures.Pixels]:
    low, high = float(norms.min()), float(norms.max())
    return [heat(one, low=low, high=high) for one in norms.reshape(-1, *sample.grid)]


def _photograph(pixels: pictures.Pixels, side: int) -> Thumbnail:
    return pictures.photograph(pictures.fit(Image.fromarray(pixels), side=side))
