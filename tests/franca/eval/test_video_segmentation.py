"""The video benchmark: limits, edge cases, and a real sequence where there is one."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from franca.eval.davis import VOID
from franca.eval.inputs.videos import VideoFrames
from franca.eval.object_store import videos
from franca.eval.objects import Video, VideoInputs
from franca.eval.truth.objects import object_patches
from franca.eval.video_segmentation import (
    BENCHMARK,
    grid_labels,
    segment_video,
    video_segmentation,
)

DAVIS = Path(__file__).parents[4] / "shared/data/davis"
CPU = torch.device("cpu")
SETTINGS = {"context": 2, "radius": 3, "neighbours": 3, "temperature": 0.1}


def moving(frames, *, shift=4, objects=2):
    """Squares of two patches that move right by a patch a frame."""
    masks = np.zeros((frames, 24, 40), np.uint8)
    for frame in range(frames):
        for number in range(objects):
            left = shift * frame
            masks[frame, 12 * number : 12 * number + 8, left : left + 8] = number + 1
    return masks


def sequence(masks, name="toy"):
    patches = torch.ones(len(masks), 60, 5)
    return Video(name=name, patches=patches, grid=(6, 10), masks=masks)


def inputs(*videos):
    return VideoInputs(videos=videos, patch_size=4)


def run(given):
    outcome = video_segmentation(given, seed=0, device=CPU, **SETTINGS)
    metrics = BENCHMARK.measure(outcome.evidence, dataset="toy", resamples=20, seed=0)
    return outcome, {metric.metric: metric.value for metric in metrics}


def test_features_that_are_the_objects_follow_them_and_constant_ones_do_not():
    given = inputs(sequence(moving(6)))
    _, perfect = run(object_patches(given))
    _, blind = run(given)
    assert perfect["j_mean"] > 0.8  # corners are rounded: labels are painted from patches
    assert perfect["j_and_f"] == pytest.approx((perfect["j_mean"] + perfect["f_mean"]) / 2)
    assert blind["j_mean"] < 0.5
    assert all(np.isfinite(value) for value in blind.values())


def test_objects_not_sequences_count_equally():
    still, lost = moving(4, shift=0, objects=1), moving(4, objects=2)
    outcome, both = run(inputs(sequence(still), sequence(lost)))
    alone = [run(inputs(sequence(masks)))[1]["j_mean"] for masks in (still, lost)]
    assert both["j_mean"] == pytest.approx((alone[0] + 2 * alone[1]) / 3)
    assert outcome.evidence["scores"].shape == (2, 7)


def test_videos_with_nothing_to_score_are_named_and_left_out():
    single, empty = (
        sequence(moving(1), "single"),
        sequence(np.zeros((5, 24, 40), np.uint8), "empty"),
    )
    outcome, _ = run(inputs(single, sequence(moving(4)), empty))
    assert outcome.details == {"unscored": ["single", "empty"]}
    assert len(outcome.evidence["scores"]) == 1
    with pytest.raises(ValueError, match="videos single has an object in its first mask"):
        run(inputs(single))


def test_the_first_mask_is_kept_and_void_is_background():
    masks = moving(3)
    masks[0, 20:] = VOID
    found = segment_video(sequence(masks), patch_size=4, device=CPU, **SETTINGS)
    np.testing.assert_array_equal(found[0], masks[0])
    assert found[1:].max() <= 2
    labels = grid_labels(masks[0], grid=(6, 10), channels=3)
    assert labels.shape == (60, 3)
    assert labels[-1].tolist() == [1, 0, 0]


def test_an_object_that_leaves_costs_only_if_it_is_still_seen():
    masks = moving(5, shift=0)
    masks[2:][masks[2:] == 2] = 0
    _, gone = run(object_patches(inputs(sequence(masks))))
    _, never = run(inputs(sequence(masks)))  # features that do not say so
    assert gone["j_mean"] > never["j_mean"]
    still = [run(object_patches(inputs(sequence(moving(5, shift=0)))))[1]["j_mean"]]
    assert gone["j_mean"] == pytest.approx(still[0], abs=0.15)


def test_a_number_that_names_no_object_is_right_when_nothing_is_found():
    masks = moving(4, shift=0)
    masks[masks == 1] = 3  # objects 2 and 3; the official evaluation counts object 1 too
    outcome, perfect = run(object_patches(inputs(sequence(masks))))
    assert outcome.evidence["scores"][0, 0] == 3
    assert perfect["j_mean"] > 0.85


@pytest.mark.skipif(not DAVIS.is_dir(), reason="the real sequence is not part of the project")
def test_a_real_car_is_followed_by_its_own_mask(store, tmp_path):
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        part = f"{folder}/480p/car-shadow"
        (tmp_path / part).mkdir(parents=True)
        for frame in range(8):
            (tmp_path / part / f"{frame:05d}.{suffix}").symlink_to(
                DAVIS / part / f"{frame:05d}.{suffix}"
            )
    (tmp_path / "ImageSets").symlink_to(DAVIS / "ImageSets")
    frames = VideoFrames(tmp_path, split="val", limit=None)
    assert frames.sequences.names == ("car-shadow",)
    store = dataclasses.replace(store, frame_side=64)  # 16x28 patches; features are pixels
    outcome, pixels = run(videos(store, frames))
    assert outcome.details == {"unscored": []}
    _, perfect = run(object_patches(videos(store, frames)))
    assert perfect["j_mean"] > 0.8 > pixels["j_mean"] > 0.1
    assert perfect["f_mean"] > pixels["f_mean"]
