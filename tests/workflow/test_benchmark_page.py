"""What `franca eval show` says of every benchmark at every scale."""

import pytest

from franca.eval.costs import COSTS
from franca.eval.registry import BENCHMARKS
from workflow.benchmark_page import describe, fitting
from workflow.params import DEFAULT_FILE, read, resolve

TREE = read(DEFAULT_FILE)
PARAMETERS = {
    scale: resolve(TREE, scale=scale, variant="franca")
    for scale in ("tiny", "small", "vit_b_in21k")
}


def page(name, scale):
    quick = PARAMETERS["tiny"]
    return describe(BENCHMARKS[name], parameters=PARAMETERS[scale], quick=quick)


@pytest.mark.parametrize("scale", PARAMETERS)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_everything_registered_is_on_the_page(name, scale):
    text, benchmark = page(name, scale), BENCHMARKS[name]
    for part in (benchmark.protocol, benchmark.source, f"version {benchmark.version}"):
        assert part in text
    assert COSTS[name].full in text
    for metric in benchmark.metrics:
        assert f"\n  {metric.name} " in text
    for prediction, meaning in benchmark.predictions.items():
        assert f"\n  {prediction} " in text
        assert meaning in text
    declared = PARAMETERS[scale].evaluation_sets
    for dataset in fitting(benchmark, declared):
        start = text.index(f"\n  {dataset}: {declared[dataset].format} in ")
        found = text[start:].splitlines()[1:5]
        assert declared[dataset].licence in found[0]
        assert [line.split(":")[0].strip() for line in found[1:]] == ["layout", "splits", "checks"]
        assert declared[dataset].test_split in found[2]


def test_the_quick_form_names_its_sets_and_what_it_changes():
    text = page("logreg", "vit_b_in21k")
    assert (
        "franca eval run --scale tiny --benchmark logreg --model random:vit_tiny`, on objects"
        in text
    )
    quick, full = (PARAMETERS[s].evaluate.logreg.model_dump() for s in ("tiny", "vit_b_in21k"))
    changed = {key: value for key, value in quick.items() if value != full[key]}
    assert changed
    for key, value in changed.items():
        assert f"\n  {key} = {value}\n" in text


def test_novel_sets_stand_beside_what_they_are_novel_to():
    text = page("ood", "tiny")
    assert "\n  novel_near: " in text
    assert "sketches" not in text


def test_a_count_of_images_is_a_check():
    text = page("logreg", "vit_b_in21k")
    block = text[text.index("\n  food101: ") :].splitlines()[1:5]
    assert "train train (75,750 images), test test (25,250 images)" in block[2]
    assert block[3].endswith("as many images as declared")


def test_every_benchmark_has_a_cost_and_no_other_has():
    assert set(COSTS) == set(BENCHMARKS)
    assert all(cost.embedded_seconds > 0 for cost in COSTS.values())
