import io

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from franca.data.scenes.faults import (
    FORBIDDEN_URLS,
    SERVER_FAULTS,
    Origin,
    Original,
    bomb,
    num_fresh,
    plant_all,
)
from franca.data.scenes.layouts import encode
from franca.data.scenes.metadata import md5

EACH = 3


def _original(name, index):
    pixels = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(pixels).resize((48, 40), Image.Resampling.BICUBIC))
    return Original(f"{name}-{index}.jpg", encode(image, quality=92), f"photo {index} of a cone")


@pytest.fixture(scope="module")
def origin():
    origin = Origin()
    training = [_original("photo", index) for index in range(12)]
    for original in training:
        origin.add(original)
    fresh = [_original("item", 100 + index) for index in range(num_fresh(EACH))]
    evaluation = [_original("val", 1000 + index) for index in range(9)]
    plant_all(origin, each=EACH, fresh=fresh, training=training, evaluation=evaluation)
    return origin


def _names(origin, kind):
    return [entry["url"].rsplit("/", 1)[-1] for entry in origin.planted[kind]]


def _served(origin, kind):
    return [origin.files[name] for name in _names(origin, kind)]


def _rows(origin, kind):
    rows = {row.url: row for row in origin.rows}
    return [rows[entry["url"]] for entry in origin.planted[kind]]


def _open(content):
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_every_row_has_a_url_of_its_own(origin):
    urls = [row.url for row in origin.rows]
    assert len(set(urls)) == len(urls)


def test_server_misbehaves_exactly_where_a_fault_is_listed(origin):
    listed = {f"/images/{name}": kind for kind in SERVER_FAULTS for name in _names(origin, kind)}
    assert origin.faults == listed
    dead = {"not_found", "gone", "timeout", "redirect_private"}
    for path, kind in origin.faults.items():
        assert (path.rsplit("/", 1)[-1] in origin.files) is (kind not in dead)


def test_stalling_requests_are_few(origin):
    assert [len(origin.planted[kind]) for kind in ("timeout", "slow", "gone")] == [2, 2, EACH]


def test_broken_bytes_do_not_decode(origin):
    for content in (*_served(origin, "html"), *_served(origin, "empty")):
        with pytest.raises(UnidentifiedImageError):
            _open(content)
    for content in _served(origin, "truncated"):
        with pytest.raises(OSError, match="truncated"):
            _open(content)


def test_changed_bytes_break_the_promise_of_their_md5(origin):
    for row, content in zip(_rows(origin, "changed"), _served(origin, "changed"), strict=True):
        _open(content)
        assert row.md5 != md5(content)


def test_everything_else_keeps_its_md5(origin):
    broken = {"html", "truncated", "empty", "changed", "bomb"}
    spoilt = {name for kind in broken for name in _names(origin, kind)}
    rows = {row.url.rsplit("/", 1)[-1]: row for row in origin.rows}
    sound = set(origin.files) - spoilt
    assert len(sound) > 30
    assert all(rows[name].md5 == md5(origin.files[name]) for name in sound)


def test_unfit_images_are_as_the_table_says(origin):
    for kind in ("small", "extreme_aspect", "oversize", "blank"):
        for row, content in zip(_rows(origin, kind), _served(origin, kind), strict=True):
            assert _open(content).size == row.size
    assert all(max(row.size) < 24 for row in _rows(origin, "small"))
    assert all(row.size[0] >= 4 * row.size[1] for row in _rows(origin, "extreme_aspect"))
    assert all(min(row.size) == 320 for row in _rows(origin, "oversize"))
    assert all(
        np.asarray(_open(content)).std((0, 1)).max() == 0 for content in _served(origin, "blank")
    )


def test_unfit_columns_say_why(origin):
    said = {
        "unsafe": ("punsafe", 0.4),
        "watermarked": ("pwatermark", 0.97),
        "low_similarity": ("similarity", 0.2),
        "short_caption": ("caption", "img"),
    }
    for kind, (column, value) in said.items():
        assert [row.columns for row in _rows(origin, kind)] == [{column: value}] * EACH


def test_bomb_is_small_and_refused(origin):
    [content], [row] = _served(origin, "bomb"), _rows(origin, "bomb")
    assert len(content) < 300_000
    assert row.size[0] * row.size[1] > 2 * Image.MAX_IMAGE_PIXELS
    with pytest.raises(Image.DecompressionBombError):
        _open(content)


def test_bomb_is_a_real_png(monkeypatch):
    monkeypatch.setattr("franca.data.scenes.faults.BOMB_SIDE", 20)
    with Image.open(io.BytesIO(bomb())) as image:
        image.load()
        assert (image.format, image.size, image.getextrema()) == ("PNG", (20, 20), (0, 0))


@pytest.mark.parametrize("kind", ["duplicate", "leak"])
def test_copies_name_their_originals(origin, kind):
    exact, again, resized = (
        list(zip(origin.planted[f"{kind}_{way}"], _served(origin, f"{kind}_{way}"), strict=True))
        for way in ("exact", "reencoded", "resized")
    )
    assert len(exact) == len(again) == len(resized) == EACH
    if kind == "duplicate":
        for entry, content in exact:
            assert origin.files[entry["of"].rsplit("/", 1)[-1]] == content
        for entry, content in again:
            source = origin.files[entry["of"].rsplit("/", 1)[-1]]
            difference = np.asarray(_open(source)).astype(int) - np.asarray(_open(content))
            assert source != content
            assert np.abs(difference).mean() < 6
    assert all(_open(content).size == (41, 34) for _, content in resized)


def test_forbidden_urls_have_no_files(origin):
    assert tuple(entry["url"] for entry in origin.planted["forbidden_url"]) == FORBIDDEN_URLS


def test_leaks_need_evaluation_images():
    origin = Origin()
    fresh = [_original("item", index) for index in range(num_fresh(1))]
    plant_all(origin, each=1, fresh=fresh, training=fresh[:3], evaluation=[])
    assert "leak_exact" not in origin.planted
    assert "duplicate_exact" in origin.planted
