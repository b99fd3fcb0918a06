"""Images for the galleries are the very bytes of the shards."""

import io

import numpy as np
from PIL import Image

from franca.report.funnel import read_funnel
from franca.report.shards import Reason, read_dropped, read_kept, read_lost
from tests.franca.report.world import picture


def test_kept_images_are_spread_evenly_and_carry_their_captions(finished_run):
    images = read_kept(finished_run["pack_shards"], count=4)
    # 30 images, even numbers in the first shard, odd ones in the second
    assert [image.note for image in images] == [
        f"a shape, number {number}" for number in (0, 20, 9, 29)
    ]
    for image, number in zip(images, (0, 20, 9, 29), strict=True):
        with Image.open(io.BytesIO(image.data)) as decoded:
            error = np.abs(np.asarray(decoded, int) - np.asarray(picture(number), int))
        assert error.mean() < 3  # JPEG


def test_asking_for_more_than_there_is_gives_all(finished_run):
    assert len(read_kept(finished_run["pack_shards"], count=100)) == 30


def test_a_folder_without_index_shows_nothing(tmp_path):
    assert read_kept(tmp_path, count=4) == []


def dropped(run, count):
    packed = run["pack_shards"]
    return read_dropped(packed, run["download_images"], read_funnel(packed), count=count)


def test_dropped_images_are_found_for_every_reason_that_has_pixels(finished_run):
    found = dropped(finished_run, 3)
    assert {reason.reason: len(images) for reason, images in found.items()} == {
        "truncated": 3, "one_colour": 3, "same_bytes": 6, "near_duplicate": 3,
        "in_evaluation_set": 3,
    }  # fmt: skip
    assert Reason("filter_metadata", "resolution", "too_small") not in found


def test_a_duplicate_is_followed_by_what_it_duplicates(finished_run):
    images = dropped(finished_run, 2)[Reason("deduplicate", "exact", "same_bytes")]
    assert [image.note for image in images] == ["dropped", "because of this one"] * 2
    assert images[0].data == images[3].data  # the first two duplicate each other
    assert images[1].data == images[2].data


def test_no_more_dropped_images_than_there_are(finished_run):
    found = dropped(finished_run, 10)
    assert len(found[Reason("filter_images", "decodes", "truncated")]) == 6


def test_rows_that_never_had_an_image_are_named_for_every_other_reason(finished_run):
    packed = finished_run["pack_shards"]
    found = read_lost(packed, read_funnel(packed), count=2)
    assert {reason.reason: len(rows) for reason, rows in found.items()} == {
        "repeated": 2, "too_small": 2, "unknown_size": 2, "too_elongated": 2, "punsafe": 2,
        "pwatermark": 2, "http_404": 2, "timeout": 2, "not_an_image": 2,
    }  # fmt: skip
    for reason, rows in found.items():
        assert rows[0].url == f"http://example.org/{reason.filter}-{reason.reason}-0"


def test_without_a_ledger_nothing_is_shown(finished_run, tmp_path):
    funnel = read_funnel(finished_run["pack_shards"])
    found = read_dropped(tmp_path, finished_run["download_images"], funnel, count=3)
    assert not any(found.values())
