"""An image under judgement is decoded at most once."""

import numpy as np
import pytest

from data_filters.images import candidate as module
from data_filters.images.candidate import Candidate
from data_filters.io.pixels import UnreadableImageError, decode, open_image


def test_pixels_are_decoded_once_and_only_when_asked_for(jpeg, monkeypatch):
    calls = []
    monkeypatch.setattr(module, "decode", lambda image: calls.append(1) or decode(image))
    image = Candidate(jpeg(3))
    assert (image.size, calls) == ((64, 48), [])
    assert np.array_equal(image.pixels, decode(open_image(jpeg(3))))
    assert image.grey.shape == (48, 64)
    assert calls == [1]


def test_bytes_that_are_no_image_say_so():
    with pytest.raises(UnreadableImageError, match="not_an_image"):
        _ = Candidate(b"text").size
