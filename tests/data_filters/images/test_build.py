"""The filters a section asks for."""

from data_filters.config import PIXEL_FILTERS, FilterImages
from data_filters.images.build import build_filters

STRICT = FilterImages(
    max_pixels=1000,
    allow_animated=False,
    min_side=10,
    max_aspect_ratio=2.0,
    min_entropy=1.0,
    min_sharpness=1.0,
    max_unreadable_rate=0.0,
    models=(),
    device="cpu",
    batch_size=2,
)


def test_nothing_is_decoded_before_its_header_has_passed():
    assert [each.name for each in build_filters(STRICT)] == [
        "header", "animation", "shape", "decoding", "uniformity", "sharpness",
    ]  # fmt: skip


def test_what_is_switched_off_is_not_there():
    lax = STRICT.model_copy(
        update={"allow_animated": True, "min_entropy": None, "min_sharpness": None}
    )
    assert [each.name for each in build_filters(lax)] == ["header", "shape", "decoding"]


def test_names_that_models_may_not_take_are_those_of_the_filters():
    assert tuple(each.name for each in build_filters(STRICT)) == PIXEL_FILTERS
