"""Any benchmark, by name, on the random inputs of `toys` with small parameters."""

import math

import torch

from franca.config.evaluate import Evaluate
from franca.eval.registry import BENCHMARKS
from tests.franca.config.sections import EVALUATE
from tests.franca.eval.toys import INPUTS

CPU = torch.device("cpu")
NAMES = list(BENCHMARKS)
# Stored features cannot be augmented.
WITHOUT_CROPS = {"linear": {"crop_scale": None}, "robustness": {"crop_scale": None}}
PARAMETERS = {
    name: getattr(Evaluate(**EVALUATE), each.parameters_section).model_dump()
    | WITHOUT_CROPS.get(name, {})
    for name, each in BENCHMARKS.items()
}


def generator(seed):
    return torch.Generator().manual_seed(seed)


def random_inputs(name, seed):
    return INPUTS[BENCHMARKS[name].kind](generator(seed))


def values(name, inputs, **changes):
    """Every metric of a benchmark; a value or an end of an interval that is no number fails."""
    benchmark = BENCHMARKS[name]
    outcome = benchmark.run(inputs, seed=0, device=CPU, **(PARAMETERS[name] | changes))
    metrics = benchmark.measure(outcome.evidence, dataset="toy", resamples=5, seed=0)
    for metric in metrics:
        assert all(map(math.isfinite, (metric.value, *metric.ci95))), metric
    return {metric.metric: metric.value for metric in metrics}
