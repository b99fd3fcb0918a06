import numpy as np
import pytest

from franca.data.scenes.compose import CLASSES
from franca.data.scenes.samples import (
    Canvas,
    geometric_pair,
    group_image,
    semantic_pair,
    single_image,
    video,
)

CANVAS = Canvas(48, 48, 1)


def _ids(mask, points):
    columns, rows = points.astype(int).T
    return mask[rows, columns]


@pytest.mark.parametrize("label", range(1, len(CLASSES) + 1))
def test_single_image_shows_its_class_and_nothing_else(label):
    view = single_image(0, "test", label, label=label, names=CLASSES, canvas=CANVAS)
    assert set(np.unique(view.semantic)) == {0, label}
    assert (view.semantic == label).mean() > 0.15


def test_images_depend_on_seed_purpose_and_index_alone():
    def image(seed, purpose, index):
        return group_image(seed, purpose, index, canvas=CANVAS).image

    np.testing.assert_array_equal(image(0, "a", 3), image(0, "a", 3))
    for other in ((1, "a", 3), (0, "b", 3), (0, "a", 4)):
        assert (image(0, "a", 3) != image(*other)).mean() > 0.5


def test_groups_fill_a_good_part_of_the_frame():
    views = [group_image(0, "test", index, canvas=CANVAS) for index in range(6)]
    assert min((view.semantic > 0).mean() for view in views) >= 0.30
    assert max(view.instance.max() for view in views) >= 3


def test_canvas_may_be_oblong():
    view = single_image(0, "test", 0, label=1, names=CLASSES, canvas=Canvas(40, 64, 1))
    assert view.image.shape == (40, 64, 3)


def test_video_moves_its_objects_and_changes_its_light():
    frames = list(video(0, "test", 1, num_frames=4, canvas=CANVAS))
    assert len(frames) == 4
    ids = [set(np.unique(frame.instance)) - {0} for frame in frames]
    assert ids[0] <= {1, 2, 3}
    assert all(later <= ids[0] | {1, 2, 3} for later in ids)
    moved = (frames[0].instance != frames[-1].instance).mean()
    assert 0.02 < moved < 0.7
    means = np.array([frame.image.mean((0, 1)) for frame in frames])
    assert means.std(0).max() > 3


def test_geometric_points_stay_on_their_surfaces():
    pair = geometric_pair(0, "test", 0, canvas=CANVAS)
    assert 32 <= len(pair.source_points) <= 64
    before = _ids(pair.source.instance, pair.source_points)
    after = _ids(pair.target.instance, pair.target_points)
    assert (before == after).mean() > 0.9
    assert (pair.source_points != pair.target_points).any()


@pytest.mark.parametrize("label", [1, 5, 7])
def test_semantic_points_lie_on_both_instances(label):
    pair = semantic_pair(0, "test", label, label=label, canvas=CANVAS)
    assert len(pair.source_points) == len(pair.target_points) >= 5
    for view, points in (
        (pair.source, pair.source_points),
        (pair.target, pair.target_points),
    ):
        assert (_ids(view.semantic, points) == label).mean() > 0.8
