"""The image filters that a section of the parameters asks for, in the order they judge."""

from data_filters.base import Filter
from data_filters.config import FilterImages
from data_filters.images.animation import AnimationFilter
from data_filters.images.candidate import Candidate
from data_filters.images.decoding import DecodingFilter
from data_filters.images.header import HeaderFilter
from data_filters.images.shape import ShapeFilter
from data_filters.images.sharpness import SharpnessFilter
from data_filters.images.uniformity import UniformityFilter


def build_filters(cfg: FilterImages) -> list[Filter[Candidate]]:
    """Return the filters, cheap ones first: nothing is decoded before its header has passed."""
    filters: list[Filter[Candidate]] = [HeaderFilter(max_pixels=cfg.max_pixels)]
    if not cfg.allow_animated:
        filters.append(AnimationFilter())
    filters.append(ShapeFilter(min_side=cfg.min_side, max_aspect_ratio=cfg.max_aspect_ratio))
    filters.append(DecodingFilter())
    if cfg.min_entropy is not None:
        filters.append(UniformityFilter(min_entropy=cfg.min_entropy))
    if cfg.min_sharpness is not None:
        filters.append(SharpnessFilter(min_variance=cfg.min_sharpness))
    return filters
