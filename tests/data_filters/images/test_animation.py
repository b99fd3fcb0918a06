"""Frames."""

import io

import pytest
from PIL import Image

from data_filters.images.animation import AnimationFilter
from data_filters.images.candidate import Candidate


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("frames", [1, 2])
def test_reasons(picture, kind, frames):
    images = [Image.fromarray(picture(index)) for index in range(frames)]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:])
    verdict = AnimationFilter()(Candidate(buffer.getvalue()))
    assert verdict.reason == ("animated" if frames > 1 else None)


def test_the_previews_of_an_mpo_are_no_motion(picture):
    images = [Image.fromarray(picture(index)) for index in range(2)]
    buffer = io.BytesIO()
    images[0].save(buffer, "MPO", save_all=True, append_images=images[1:])
    candidate = Candidate(buffer.getvalue())
    assert (candidate.header.format, candidate.header.n_frames) == ("MPO", 2)
    assert AnimationFilter()(candidate).kept
