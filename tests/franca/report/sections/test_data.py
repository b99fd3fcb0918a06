"""The funnel's chapter, and galleries of what can and cannot be decoded."""

import io

import pytest
from PIL import Image

from franca.report.figures import Figures
from franca.report.funnel import read_funnel
from franca.report.sections.data import build_data
from franca.report.shards import Reason, StoredImage
from tests.franca.report.world import picture

REASON = Reason("filter_images", "flat", "One colour / none")


def stored(data=None):
    buffer = io.BytesIO()
    picture(1).save(buffer, format="PNG")
    return StoredImage(data=buffer.getvalue() if data is None else data, note="a note")


@pytest.fixture
def build(finished_run, tmp_path):
    funnel = read_funnel(finished_run["pack_shards"])

    def build(kept=(), dropped=None, funnel=funnel):
        return build_data(funnel, kept, dropped or {}, Figures(tmp_path, dpi=50), side=32).blocks

    return build


def test_the_table_has_every_filter_and_its_reasons(build):
    table = next(block for block in build() if block.kind == "table")
    assert len(table.rows) == 11
    assert table.rows[5][5].text == "http_404 61, timeout 17, not_an_image 12"
    assert "**340** (34.0\u202f%) became training images" in build()[0].text


def test_broken_images_are_counted_not_shown(build):
    images = [stored(), stored(b"broken"), stored(b"")]
    gallery = next(block for block in build(dropped={REASON: images}) if block.kind == "gallery")
    assert len(gallery.thumbnails) == 1
    assert "2 of the 3 chosen cannot be decoded" in gallery.caption
    assert gallery.name == "dropped-flat-one-colour---none"


def test_thumbnails_are_small_and_labelled(build):
    gallery = next(block for block in build(kept=[stored()]) if block.kind == "gallery")
    (thumbnail,) = gallery.thumbnails
    with Image.open(io.BytesIO(thumbnail.data)) as image:
        assert max(image.size) == 32
    assert thumbnail.label == "a note"


def test_no_funnel_is_said(build):
    assert build(funnel=[])[0].kind == "missing"
