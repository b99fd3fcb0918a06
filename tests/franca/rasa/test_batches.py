import pytest
import torch

from franca.rasa.batches import ArrayBatches, epoch_order, iterate
from tests.franca.rasa.worlds import features_with_position


def test_an_epoch_visits_every_image_once_in_another_order():
    orders = [epoch_order(10, epoch=epoch, seed=0, shuffle=True) for epoch in range(2)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert (orders[0] != orders[1]).any()
    assert list(epoch_order(3, epoch=5, seed=0, shuffle=False)) == [0, 1, 2]


def test_batches_keep_tokens_and_targets_together():
    features, targets = features_with_position(images=6)
    marked = features.clone()
    marked[..., :2] = targets
    batches = ArrayBatches(marked, targets, batch_size=2, seed=0, shuffle=True)
    seen = list(iterate(batches, epochs=2))
    assert len(seen) == 6
    assert all(torch.equal(tokens[:, :2], wanted) for tokens, wanted in seen)


def test_a_batch_is_the_same_whenever_asked_for():
    batches = ArrayBatches(*features_with_position(), batch_size=4, seed=0, shuffle=True)
    assert torch.equal(batches.batch(1, 2)[0], batches.batch(1, 2)[0])


def test_a_short_last_batch_is_left_out():
    batches = ArrayBatches(*features_with_position(images=7), batch_size=3, seed=0, shuffle=True)
    assert batches.num_batches == 2


def test_targets_of_another_grid_are_refused():
    features, _ = features_with_position(grid=(6, 6))
    _, targets = features_with_position(grid=(5, 6))
    with pytest.raises(ValueError, match="36 tokens an image and the targets' grid 30"):
        ArrayBatches(features, targets, batch_size=4, seed=0, shuffle=True)


def test_features_with_nan_are_refused():
    features, targets = features_with_position()
    features[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        ArrayBatches(features, targets, batch_size=4, seed=0, shuffle=True)


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="3 images do not fill a batch of 4"):
        ArrayBatches(*features_with_position(images=3), batch_size=4, seed=0, shuffle=True)
