"""Declared sets are found by name, under the rendered world or elsewhere."""

from pathlib import Path

import pytest

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.inputs.sets import EvaluationSets
from tests.franca.config.sections import SEGMENTATION
from tests.franca.eval.worlds import write_voc


def sets_of(scenes, store, **changes):
    declared = EvaluationSet(**(SEGMENTATION | {"num_classes": 3} | changes))
    return EvaluationSets(all={"rooms": declared}, scenes=scenes, store=store)


def test_a_root_may_lie_in_the_rendered_world(store):
    assert sets_of(Path("/w"), store, root="{scenes}/rooms").root("rooms") == Path("/w/rooms")
    assert sets_of(Path("/w"), store, root="data/rooms").root("rooms") == Path("data/rooms")


def test_splits_and_their_limits_are_those_declared(store, tmp_path):
    write_voc(tmp_path, {"train": 5, "val": 4})
    sets = sets_of(tmp_path, store, root="{scenes}", max_train=3)
    assert [len(sets.segmented("rooms", test=flag)) for flag in (False, True)] == [3, 4]


def test_an_unknown_set_is_named_with_the_known_ones(store):
    with pytest.raises(ValueError, match=r"names the set 'room', which .* does not: rooms"):
        sets_of(Path("/w"), store).declared("room")
