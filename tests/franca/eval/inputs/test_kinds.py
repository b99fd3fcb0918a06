"""Every kind of benchmark can be prepared, and from one kind of set only."""

from pathlib import Path
from typing import get_args

import pytest

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.benchmark import Kind
from franca.eval.inputs.kinds import KINDS, check_task
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.registry import BENCHMARKS
from tests.franca.config.test_evaluation_sets import SEGMENTATION


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
