import pytest
from pydantic import ValidationError

from franca.config.scenes import Scenes

COUNTS = {
    "num_train": 0,
    "num_objects_train": 0,
    "num_objects_val": 0,
    "num_novel": 0,
    "num_segmentation_train": 0,
    "num_segmentation_val": 0,
    "num_videos": 0,
    "num_pairs": 0,
    "num_scenes": 0,
    "num_views": 3,
}
OTHERS = {
    "image_size": 48,
    "video_size": 48,
    "supersample": 1,
    "jpeg_quality": 90,
    "single_share": 0.5,
    "wide_share": 0.2,
    "fault_share": 0.01,
    "num_frames": 2,
}


def test_a_world_may_be_empty():
    assert Scenes(**COUNTS, **OTHERS).num_train == 0


def test_a_split_without_its_other_is_refused():
    with pytest.raises(ValidationError, match=r"num_objects_val is 0.*set both to 0 or neither"):
        Scenes(**{**COUNTS, "num_objects_train": 8}, **OTHERS)


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="num_trian"):
        Scenes(**COUNTS, **OTHERS, num_trian=4)
