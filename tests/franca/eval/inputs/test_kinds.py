"""Every kind of benchmark can be prepared, and from one kind of set only."""

from pathlib import Path
from typing import get_args

import pytest

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.benchmark import Kind
from franca.eval.inputs.kinds import KINDS, check_task, fits
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.registry import BENCHMARKS
from tests.franca.config.test_evaluation_sets import SEGMENTATION
from tests.franca.eval.worlds import write_videos, write_voc


def test_every_kind_has_a_preparation_and_kinds_of_sets_that_can_be_declared():
    assert set(KINDS) == set(get_args(Kind))
    allowed = get_args(EvaluationSet.model_fields["kind"].annotation)
    assert {name for kind in KINDS.values() for name in kind.set_kinds} <= set(allowed)


def test_every_benchmark_accepts_its_kind_of_set_and_refuses_another(store):
    declared = {"dense": EvaluationSet(**(SEGMENTATION | {"num_classes": 3}))}
    sets = EvaluationSets(all=declared, scenes=Path("/world"), store=store)
    for benchmark in BENCHMARKS.values():
        if "segmentation" in KINDS[benchmark.kind].set_kinds:
            check_task(benchmark, sets, "dense")
        else:
            with pytest.raises(ValueError, match=f"runs {benchmark.name} on dense, a segmentation"):
                check_task(benchmark, sets, "dense")


def test_a_set_is_known_by_the_novel_sets_that_name_it(store):
    labels = SEGMENTATION | {"format": "folder", "num_classes": None, "ignore_index": None}
    declared = {
        "objects": EvaluationSet(**(labels | {"kind": "classification"})),
        "others": EvaluationSet(**(labels | {"kind": "classification"})),
        "odd": EvaluationSet(
            **(labels | {"kind": "novel", "known_set": "objects", "group": "far"})
        ),
    }
    assert [name for name in declared if fits("novelty", declared, name)] == ["objects"]
    sets = EvaluationSets(all=declared, scenes=Path("/world"), store=store)
    check_task(BENCHMARKS["ood"], sets, "objects")
    with pytest.raises(ValueError, match="no novel set of evaluation_sets has known_set: others"):
        check_task(BENCHMARKS["ood"], sets, "others")


def test_what_keeps_its_size_says_what_goes_through_the_model_and_what_it_takes(store, tmp_path):
    write_voc(tmp_path / "voc", {"train": 1, "val": 3}, size=18)
    write_videos(tmp_path / "videos", {"first": 4, "second": 3})
    labels = {"num_classes": None, "ignore_index": None, "train_split": None}
    video = {"kind": "video", "format": "davis", "root": str(tmp_path / "videos")}
    declared = {
        "dense": EvaluationSet(**(SEGMENTATION | {"root": str(tmp_path / "voc")})),
        "videos": EvaluationSet(**(SEGMENTATION | labels | video)),
    }
    sets = EvaluationSets(all=declared, scenes=Path("/world"), store=store)
    keys, frames = (
        KINDS[kind].prepare(sets, name)
        for kind, name in (("discovery", "dense"), ("video", "videos"))
    )
    assert (keys.images, keys.input_size, keys.bytes) == (3, (20, 20), 3 * 25 * 48 * 2)
    assert (frames.images, frames.input_size, frames.bytes) == (7, (20, 16), 7 * 20 * 48 * 2)
    assert store.seconds_per_image(frames.input_size) > 0
