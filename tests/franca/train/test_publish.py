"""Published folders: what other stages read from them, and what they say when it is missing."""

import json

import pytest

from franca.train.publish import publish_records, read_recipe, summarise
from tests.franca.train.recipes import recipe


def work_folder(path, *, steps, undecodable=()):
    path.mkdir()
    rows = [json.dumps({"step": step, "loss": float(step)}) for step in steps]
    (path / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    if undecodable:
        images = [{"key": key, "reason": "truncated"} for key in undecodable]
        (path / "quarantine-0.json").write_text(json.dumps(images))
    return path


def test_runs_on_end_are_joined(tmp_path):
    first = work_folder(tmp_path / "0", steps=[0, 1], undecodable=["b", "c"])
    second = work_folder(tmp_path / "1", steps=[2], undecodable=["a", "b"])
    output = tmp_path / "output"
    output.mkdir()
    publish_records(output, recipe=recipe(), runs=[first, second])
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2]
    quarantine = json.loads((output / "quarantine.json").read_text())
    assert [row["key"] for row in quarantine] == ["a", "b", "c"]
    assert summarise(output) == {"loss": 2.0, "undecodable": 3}
    assert read_recipe(output) == recipe()


def test_a_folder_without_recipe_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `franca pretrain` first"):
        read_recipe(tmp_path)
