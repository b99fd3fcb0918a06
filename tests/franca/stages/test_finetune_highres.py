"""Stage finetune_highres after a short pretrain: what is carried over, and the longer grid."""

import json

import pytest
import torch
from safetensors.torch import load_file

from franca.config.finetune_highres import FinetuneHighres
from franca.config.pretrain import Pretrain
from franca.models.weights import load_backbone
from franca.stages import finetune_highres, pretrain
from franca.train.interruption import StopRequest
from tests.franca.data.conftest import empty_highres, jpeg, name_sets, pack
from tests.franca.train.recipes import RECIPE

VALUES = {
    "sub_stages": [
        {"global_size": 48, "local_size": 24, "steps": 2},
        {"global_size": 64, "local_size": 32, "steps": 1},
    ],
    "carry_heads": True,
    "carry_optimizer": True,
    "drop_path": 0.1,
    "global_batch_size": 4,
    "schedule": {**RECIPE["schedule"], "warmup_steps": 1},
    "checkpoint_every": 1,
    "log_every": 1,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    shards = pack(root / "shards", {f"{index:04d}": jpeg(seed=index) for index in range(8)})
    output, work = root / "pretrain", root / "work"
    output.mkdir()
    work.mkdir()
    cfg = Pretrain.model_validate({**RECIPE, "steps": 3, "num_kept": 2})
    pretrain.run(
        cfg,
        seed=0,
        inputs={"pack_shards": shards},
        output=output,
        work=work,
        logs=work / "logs",
        stop=StopRequest(),
    )
    highres = empty_highres(root / "pack_highres")
    return {"pack_shards": shards, "pack_highres": highres, "pretrain": output}


def run(inputs, root, **changes):
    output, work = root / "output", root / "work"
    output.mkdir(parents=True)
    work.mkdir(exist_ok=True)
    cfg = FinetuneHighres.model_validate({**VALUES, **changes})
    summary = finetune_highres.run(
        cfg, seed=0, inputs=inputs, output=output, work=work, logs=root / "logs", stop=StopRequest()
    )
    return output, summary


@pytest.fixture(scope="module")
def published(inputs, tmp_path_factory):
    return run(inputs, tmp_path_factory.mktemp("published"))


def content(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_backbone_has_the_grid_of_the_last_sub_stage(published):
    output, summary = published
    model, metadata = load_backbone(output / "checkpoints/highres.safetensors")
    assert model.arch.image_size == 64
    assert model.pos_embed.shape[1] == 1 + 8 * 8
    assert metadata["step"] == 3
    assert (summary["samples"], summary["images"]) == (12, 8)


def test_packed_sets_take_the_place_of_the_pretraining_images(inputs, tmp_path):
    sets = pack(tmp_path / "sets", {f"{index:04d}": jpeg(seed=50 + index) for index in range(5)})
    name_sets(sets, ["voc"] * 3 + ["kitti"] * 2)
    _, summary = run({**inputs, "pack_highres": sets}, tmp_path / "run")
    assert summary["images"] == 5


def test_a_momentum_of_1_passes_the_backbone_through(inputs, tmp_path):
    """How params.yaml says that a model is not fine-tuned."""
    output, _ = run(
        inputs,
        tmp_path,
        sub_stages=[{"global_size": 32, "local_size": 16, "steps": 1}],
        schedule={**VALUES["schedule"], "warmup_steps": 0, "momentum": (1.0, 1.0)},
    )
    before = load_file(inputs["pretrain"] / "checkpoints/step-0000003.safetensors")
    after = load_file(output / "checkpoints/highres.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_metrics_run_on_through_the_sub_stages(published):
    output, _ = published
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2]


def test_the_recipe_holds_the_last_resolution_and_the_pretrained_rest(published):
    recipe = json.loads((published[0] / "recipe.json").read_text())
    assert recipe["augment"]["global_crops"]["size"] == 64
    assert recipe["augment"]["local_crops"]["size"] == 32
    assert recipe["masking"] == json.loads(json.dumps(RECIPE["masking"]))


def test_two_runs_publish_the_same_bytes(inputs, published, tmp_path):
    output, _ = run(inputs, tmp_path)
    assert content(output) == content(published[0])


@pytest.mark.parametrize("calls_before", [1, 2])
def test_a_run_that_died_goes_on_to_the_same_bytes(
    inputs, published, tmp_path, monkeypatch, calls_before
):
    calls = []

    def dying(training):
        if len(calls) == calls_before:
            raise KeyboardInterrupt
        calls.append(training)
        train(training)

    train = finetune_highres.train
    with monkeypatch.context() as patch:
        patch.setattr(finetune_highres, "train", dying)
        if calls_before < len(VALUES["sub_stages"]):
            with pytest.raises(KeyboardInterrupt):
                run(inputs, tmp_path)
        else:
            patch.setattr(finetune_highres, "publish_checkpoints", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run(inputs, tmp_path)
    (tmp_path / "output").rmdir()
    output, _ = run(inputs, tmp_path)
    assert content(output) == content(published[0])


def start_of(inputs, tmp_path, monkeypatch, **changes):
    """Return the run of the first sub-stage as it would start."""

    def stop(training):
        raise StopIteration(training)

    monkeypatch.setattr(finetune_highres, "train", stop)
    with pytest.raises(StopIteration) as stopped:
        run(inputs, tmp_path, **changes)
    return stopped.value.value


def pretrained_state(inputs):
    return load_file(inputs["pretrain"] / "training_state/tensors.safetensors")


def test_both_networks_start_as_the_pretrained_teacher(inputs, tmp_path, monkeypatch):
    training = start_of(inputs, tmp_path, monkeypatch)
    state = pretrained_state(inputs)
    for networks in (training.method.student, training.method.teacher):
        for name, weights in networks.state_dict().items():
            if name != "backbone.pos_embed":
                assert torch.equal(weights, state[f"teacher.{name}"]), name
        assert networks.backbone.pos_embed.shape[1] == 1 + 6 * 6
    assert training.method.student.backbone.drop_path == 0.1


def test_heads_can_be_left_behind(inputs, tmp_path, monkeypatch):
    training = start_of(inputs, tmp_path, monkeypatch, carry_heads=False, carry_optimizer=False)
    state = pretrained_state(inputs)
    name = "dino_head.levels.0.mlp.0.weight"
    assert not torch.equal(training.method.student.state_dict()[name], state[f"teacher.{name}"])
    weights = training.method.student.backbone.norm.weight
    assert torch.equal(weights, state["teacher.backbone.norm.weight"])


@pytest.mark.parametrize("carried", [True, False])
def test_moments_come_along_if_asked_except_those_of_the_longer_grid(
    inputs, tmp_path, monkeypatch, carried
):
    training = start_of(inputs, tmp_path, monkeypatch, carry_optimizer=carried)
    state, backbone = pretrained_state(inputs), training.method.student.backbone
    moments = training.optimizer.state.get(backbone.norm.weight)
    if carried:
        assert torch.equal(moments["exp_avg"], state["optimizer.exp_avg.backbone.norm.weight"])
        assert moments["step"] == 3
    else:
        assert moments is None
    assert backbone.pos_embed not in training.optimizer.state


def test_a_size_that_does_not_divide_is_refused_with_the_key(inputs, tmp_path):
    sub_stages = [{"global_size": 50, "local_size": 24, "steps": 2}]
    with pytest.raises(ValueError, match=r"global_crops\.size 50 is not a multiple .* try 48"):
        run(inputs, tmp_path, sub_stages=sub_stages)


def test_moments_without_their_heads_are_refused():
    with pytest.raises(ValueError, match="carry_optimizer"):
        FinetuneHighres.model_validate({**VALUES, "carry_heads": False})
