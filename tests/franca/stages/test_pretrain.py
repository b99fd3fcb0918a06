"""Stage pretrain on a few packed images: what it publishes, twice the same, and what it refuses."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file

from franca.config.pretrain import Pretrain, Recipe
from franca.models.weights import load_backbone
from franca.stages import pretrain
from franca.train.interruption import StopRequest
from tests.franca.data.conftest import jpeg, pack
from tests.franca.train.recipes import RECIPE

CONFIG = Pretrain.model_validate({**RECIPE, "num_kept": 4})


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    images = {f"{index:04d}": jpeg(seed=index) for index in range(12)}
    return pack(tmp_path_factory.mktemp("shards") / "pack_shards", images)


def run(shards, root, *, cfg=CONFIG, seed=0):
    output, work = root / "output", root / "work"
    output.mkdir(parents=True)
    work.mkdir(exist_ok=True)
    summary = pretrain.run(
        cfg,
        seed=seed,
        inputs={"pack_shards": shards},
        output=output,
        work=work,
        logs=root / "logs",
        stop=StopRequest(),
    )
    return output, summary


@pytest.fixture(scope="module")
def published(shards, tmp_path_factory):
    return run(shards, tmp_path_factory.mktemp("published"))


def content(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_manifest_lists_each_kept_backbone_with_its_hash(published):
    output, _ = published
    rows = json.loads((output / "manifest.json").read_text())
    assert [row["step"] for row in rows] == CONFIG.kept_steps == [0, 1, 3, 6]
    assert [row["samples"] for row in rows] == [0, 4, 12, 24]
    for row in rows:
        assert row["file"] == f"checkpoints/{row['name']}.safetensors"
        assert row["sha256"] == hashlib.sha256((output / row["file"]).read_bytes()).hexdigest()
        model, metadata = load_backbone(output / row["file"])
        assert metadata["step"] == row["step"]
        assert model.arch.image_size == 32


def test_two_runs_publish_the_same_bytes(shards, published, tmp_path):
    output, summary = published
    again, summary_again = run(shards, tmp_path)
    assert content(again) == content(output)
    assert summary_again == summary


def test_the_last_backbone_is_the_teacher_of_the_training_state(published):
    output, _ = published
    state = load_file(output / "training_state/tensors.safetensors")
    last = load_file(output / "checkpoints/step-0000006.safetensors")
    assert all(torch.equal(state[f"teacher.backbone.{name}"], last[name]) for name in last)
    assert not torch.equal(state["student.backbone.norm.weight"], last["norm.weight"])


def test_the_recipe_reads_back(published):
    output, _ = published
    recipe = Recipe.model_validate_json((output / "recipe.json").read_text())
    assert recipe.model_dump() == CONFIG.model_dump(exclude={"num_kept"})


def test_the_summary_counts(published):
    output, summary = published
    last = json.loads((output / "metrics.jsonl").read_text().splitlines()[-1])
    assert summary == {"images": 12, "samples": 24, "loss": last["loss"], "undecodable": 0}


def test_a_stage_that_died_goes_on_to_the_same_bytes(shards, published, tmp_path, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "publish_checkpoints", die)  # after training, before publishing
        with pytest.raises(KeyboardInterrupt):
            run(shards, tmp_path)
    (tmp_path / "output").rmdir()
    output, _ = run(shards, tmp_path)
    assert content(output) == content(published[0])


def test_an_undecodable_image_is_published_with_its_reason(tmp_path):
    images = {f"{index:04d}": jpeg(seed=index) for index in range(12)} | {"0012": b"no image"}
    shards = pack(tmp_path / "pack_shards", images)
    values = CONFIG.model_dump()
    values["loading"]["max_undecodable"] = 0.5
    output, summary = run(shards, tmp_path, cfg=Pretrain.model_validate(values))
    rows = json.loads((output / "quarantine.json").read_text())
    assert [row["key"] for row in rows] == ["0012"]
    assert rows[0]["reason"]
    assert summary["undecodable"] == 1


def test_fewer_images_than_a_batch_are_refused_in_one_line(tmp_path):
    shards = pack(tmp_path / "pack_shards", {"0": jpeg(seed=0)})
    with pytest.raises(ValueError, match=r"1 images are fewer than global_batch_size 4: lower"):
        run(shards, tmp_path)
