"""What a stage trains on: the packed data sets, one of them, or the images of pre-training."""

import pytest

from franca.data.datasets import ImageSource, highres_images
from franca.data.shards import ShardDataset
from tests.franca.data.conftest import empty_highres, name_sets


@pytest.fixture
def pretraining(make_shards, make_jpeg):
    return make_shards({"p": make_jpeg(seed=9)})


def keys(dataset):
    return [dataset.locate(number).key for number in range(len(dataset))]


def test_without_sets_it_is_the_images_of_pretraining(pretraining, tmp_path):
    images = highres_images(empty_highres(tmp_path / "empty"), pretraining)
    assert isinstance(images, ImageSource)
    assert keys(images) == ["p"]


def test_with_sets_it_is_all_of_them_or_the_one_that_is_named(packed, pretraining):
    name_sets(packed, ["voc"] * 8 + ["kitti"] * 12)
    assert len(highres_images(packed, pretraining)) == 20
    images = highres_images(packed, pretraining, image_set="voc")
    assert keys(images) == keys(ShardDataset(packed))[:8]
    assert images.read(3).data == ShardDataset(packed).read(3).data


def test_a_set_that_is_not_there_is_named_with_those_that_are(packed, pretraining, tmp_path):
    name_sets(packed, ["voc"] * 8 + ["kitti"] * 12)
    with pytest.raises(ValueError, match="no images of the set 'coco'; it holds kitti, voc"):
        highres_images(packed, pretraining, image_set="coco")
    with pytest.raises(ValueError, match="holds no images"):
        highres_images(empty_highres(tmp_path / "empty"), pretraining, image_set="voc")


def test_a_folder_that_was_never_packed_is_no_empty_one(pretraining, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder of shards"):
        highres_images(tmp_path / "nothing", pretraining)
