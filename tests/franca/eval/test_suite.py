"""A suite grows by what is missing, and only by that."""

import json

import pytest
from PIL import Image

from franca.config.evaluation_sets import EvaluationSet
from franca.eval import datasets
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.suite import Pair, Suite
from tests.franca.config.sections import EVALUATE, SEGMENTATION
from tests.franca.eval.worlds import write_voc

TASKS = [Pair("depth", "rooms"), Pair("position", "rooms")]


@pytest.fixture
def suite(store, tmp_path):
    def make(**depth):
        parameters = {"depth": EVALUATE["depth"] | depth, "position": EVALUATE["position"]}
        rooms = EvaluationSet(**(SEGMENTATION | {"num_classes": 3, "root": "{scenes}"}))
        sets = EvaluationSets(all={"rooms": rooms}, scenes=tmp_path / "rooms", store=store)
        return Suite(sets=sets, parameters=parameters, seed=0, resamples=10)

    write_voc(tmp_path / "rooms", {"train": 12, "val": 5})
    return make


def test_only_what_is_missing_runs(suite, tmp_path):
    folder = tmp_path / "results"
    first = suite().run(TASKS[:1], folder, title="one")
    assert {metric.benchmark for metric in first} == {"depth"}
    assert suite().missing(TASKS, folder) == TASKS[1:]
    both = suite().run(TASKS, folder, title="both")
    assert both[: len(first)] == first
    assert suite().missing(TASKS, folder) == []
    assert sorted(path.name for path in (folder / "evidence").iterdir()) == [
        "depth-rooms.npz",
        "position-rooms.npz",
    ]


def test_another_parameter_replaces_the_numbers_it_changes(suite, tmp_path):
    folder = tmp_path / "results"
    before = suite().run(TASKS, folder, title="before")
    changed = suite(penalties=(1e6,))
    assert changed.missing(TASKS, folder) == TASKS[:1]
    after = changed.run(TASKS, folder, title="after")
    assert len(after) == len(before)
    values = [{(m.benchmark, m.metric): m.value for m in found} for found in (before, after)]
    different = {key[0] for key in values[0] if values[0][key] != values[1][key]}
    assert different == {"depth"}


def test_an_address_names_what_the_numbers_depend_on(suite):
    made = suite()
    address = made.address(TASKS[0])
    assert json.loads(json.dumps(address)) == address
    assert address["weights"] == "w"
    assert address["images"] == made.sets.segmented("rooms", test=True).digest
    assert address["learnt"] == {"train": made.sets.segmented("rooms", test=False).digest}
    assert address["inputs"] == 17
    assert address["num_classes"] == 3
    assert address["parameters"]["penalties"] == list(EVALUATE["depth"]["penalties"])


@pytest.mark.parametrize("split", ["train", "val"])
def test_another_image_to_learn_from_or_to_score_makes_other_numbers(suite, tmp_path, split):
    folder, rooms = tmp_path / "results", tmp_path / "rooms"
    suite().run(TASKS, folder, title="before")
    name = (rooms / f"ImageSets/Segmentation/{split}.txt").read_text().split()[0]
    image = next((rooms / "JPEGImages").glob(f"{name}.*"))
    with Image.open(image) as stored:
        size = stored.size
    Image.new("RGB", size, "red").save(image)
    assert suite().missing(TASKS, folder) == TASKS


def test_what_never_ran_is_missing_before_any_image_is_hashed(suite, tmp_path, monkeypatch):
    def hashed(*_):
        raise AssertionError

    monkeypatch.setattr(datasets, "digest_selection", hashed)
    assert suite().missing(TASKS, tmp_path / "results") == TASKS


def test_no_task_leaves_an_empty_result(suite, tmp_path):
    assert suite().run([], tmp_path / "results", title="nothing") == []
    assert json.loads((tmp_path / "results/details.json").read_text())["resamples"] == 10
