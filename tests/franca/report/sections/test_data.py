"""The funnel's chapter, and galleries of what can and cannot be decoded."""

import io

import pytest
from PIL import Image

from franca.report.figures import Figures
from franca.report.funnel import read_effects, read_funnel
from franca.report.sections.data import build_data
from franca.report.shards import DroppedRow, Reason, StoredImage
from tests.franca.report.world import picture

REASON = Reason("filter_images", "flat", "One colour / none")


def stored(data=None):
    buffer = io.BytesIO()
    picture(1).save(buffer, format="PNG")
    return StoredImage(data=buffer.getvalue() if data is None else data, note="a note")


@pytest.fixture
def build(finished_run, tmp_path):
    funnel = read_funnel(finished_run["pack_shards"])

    effects = {"rows": read_effects(finished_run["filter_metadata"])}

    def build(kept=(), dropped=None, funnel=funnel, lost=None, effects=effects):
        figures = Figures(tmp_path, dpi=50)
        return build_data(
            funnel, kept, dropped or {}, figures, lost=lost or {}, effects=effects, side=32
        ).blocks

    return build


def test_the_table_has_every_filter_and_its_reasons(build):
    table = next(block for block in build() if block.kind == "table")
    assert len(table.rows) == 11
    assert table.rows[5][5].text == "http_404 61, timeout 17, not_an_image 12"
    assert "**340** (34.0\u202f%) became training images" in build()[0].text


def test_the_ablation_is_a_figure_and_a_table(build):
    blocks = build()
    plots = [block.name for block in blocks if block.kind == "plot"]
    assert plots == ["funnel", "filters-alone-rows"]
    table = [block for block in blocks if block.kind == "table"][1]
    assert [cell.text for cell in table.rows[0]] == [
        "resolution", "240", "230", "200", "24.0\u202f%",
    ]  # fmt: skip
    assert [block.name for block in build(effects={}) if block.kind == "plot"] == ["funnel"]


def test_rows_without_an_image_are_listed_by_reason(build):
    row = DroppedRow("7", "http://example.org/7", "what was meant")
    reason = Reason("download_images", "download", "http_404")
    (fold,) = (block for block in build(lost={reason: [row]}) if block.kind == "fold")
    ((name, address),) = fold.blocks[0].rows
    assert (name.text, name.note) == ("http_404", "download, download_images")
    assert (address.text, address.note) == ("http://example.org/7", "what was meant")
    assert not any(block.kind == "fold" for block in build())


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
