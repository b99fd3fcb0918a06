import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from franca.config.rasa import Rasa
from franca.models.vit import build_vit
from franca.models.weights import save_backbone
from franca.rasa import fit
from franca.rasa.linear_map import load_map
from franca.stages import rasa
from franca.stages.rasa import split_images
from tests.franca.data.conftest import empty_highres, jpeg, name_sets, pack

VIEWS = {
    "min_scale": 0.25,
    "jitter_probability": 0.8,
    "brightness": 0.32,
    "contrast": 0.32,
    "saturation": 0.32,
    "hue": 0.08,
    "gray_probability": 0.2,
    "blur_probability": 0.5,
    "blur_sigma": [0.1, 2.0],
    "flip_probability": 0.5,
    "rotation": "quarter_turns",
    "rotation_probability": 1.0,
    "normalise_std": [0.229, 0.224, 0.225],
}
PRESET = {
    "rounds": 2,
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 2e-3,
    "shuffle": True,
    "views": VIEWS,
}
SECTION = {
    "method": "rasa",
    "target": "linear",
    "fourier_order": None,
    "image_set": None,
    "max_images": 24,
    "cache_gigabytes": 0.1,
    "preset": "paper",
    "presets": {"paper": PRESET},
    "probe": {
        "num_images": 8,
        "max_tokens": 512,
        "hidden": 16,
        "steps": 20,
        "batch_size": 128,
        "learning_rate": 1e-3,
    },
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("upstream")
    shards = pack(root / "pack_shards", {f"{i:04d}": jpeg(seed=i) for i in range(42)})
    model = build_vit("vit_tiny", layer_scale=1.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.pos_embed.mul_(10)  # a trace of position as plain as in a trained model
    folder = root / "finetune_highres" / "checkpoints"
    folder.mkdir(parents=True)
    save_backbone(model, folder / "highres.safetensors", metadata={})
    return {
        "pack_shards": shards,
        "pack_highres": empty_highres(root / "pack_highres"),
        "finetune_highres": root / "finetune_highres",
    }


def run(inputs, folder, *, work="work", **changes):
    output, private = folder / "output", folder / work
    output.mkdir(parents=True)
    private.mkdir(exist_ok=True)
    cfg = Rasa.model_validate({**SECTION, **changes})
    summary = rasa.run(cfg, seed=0, inputs=inputs, output=output, work=private)
    return output, summary


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("method", ["rasa", "rasa_orthogonal"])
def test_iterative_methods_publish_map_rounds_and_diagnostics(inputs, tmp_path, method):
    output, summary = run(inputs, tmp_path, method=method)
    assert list(contents(output)) == [
        "diagnostics.json",
        "map.safetensors",
        "rounds/round-01.safetensors",
        "rounds/round-02.safetensors",
    ]
    assert load_map(output / "map.safetensors").rank == summary["rank"] == 4
    assert load_file(output / "rounds" / "round-01.safetensors")["plane"].shape == (2, 96)
    assert len(json.loads((output / "diagnostics.json").read_text())["after_round"]) == 2


@pytest.mark.parametrize("method", ["sal", "leace"])
def test_closed_forms_bring_held_out_position_to_chance(inputs, tmp_path, method):
    output, summary = run(inputs, tmp_path, method=method)
    assert list(contents(output)) == ["diagnostics.json", "map.safetensors"]
    assert summary["rank"] == 2
    assert summary["linear_r2_before"] > 0.5
    assert summary["linear_r2_after"] < 0.1
    assert 0 < summary["energy_removed"] < 1


def test_one_of_the_packed_sets_may_be_named(inputs, tmp_path):
    sets = pack(tmp_path / "sets", {f"{i:04d}": jpeg(seed=90 + i) for i in range(32)})
    name_sets(sets, ["coco"] * 4 + ["voc"] * 28)
    inputs = {**inputs, "pack_highres": sets}
    output, _ = run(inputs, tmp_path / "run", method="sal", image_set="voc", max_images=None)
    counts = json.loads((output / "diagnostics.json").read_text())["images"]
    assert counts == {"fit": 12, "probe": 8}
    with pytest.raises(ValueError, match="no images of the set 'ade'; it holds coco, voc"):
        run(inputs, tmp_path / "wrong", method="sal", image_set="ade")


def test_chance_is_the_closed_expression_of_the_grid(inputs, tmp_path):
    output, _ = run(inputs, tmp_path, method="sal")
    chance = json.loads((output / "diagnostics.json").read_text())["before"]["linear"]
    np.testing.assert_allclose(chance["chance_mse"], 9 / (12 * 7), atol=1e-6)  # 8 patches a side


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(inputs, tmp_path, monkeypatch):
    whole, _ = run(inputs, tmp_path / "whole")
    save_round, folder = fit.save_round, tmp_path / "killed"

    def save_first_then_die(path, *arguments, number, loss):
        if number == 2:
            raise KeyboardInterrupt
        save_round(path, *arguments, number=number, loss=loss)

    monkeypatch.setattr(fit, "save_round", save_first_then_die)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, folder)
    monkeypatch.undo()
    assert [path.name for path in (folder / "work" / "rounds").iterdir()] == [
        "round-01.safetensors"
    ]
    (folder / "output").rmdir()
    again, _ = run(inputs, folder)
    assert contents(again) == contents(whole)


def test_memory_for_features_changes_no_byte(inputs, tmp_path):
    kept, _ = run(inputs, tmp_path / "kept")
    extracted_again, _ = run(inputs, tmp_path / "again", cache_gigabytes=0)
    assert contents(kept) == contents(extracted_again)


@pytest.mark.parametrize(("target", "order", "rank"), [("fourier", 2, 8), ("brightness", None, 1)])
def test_other_targets_go_the_same_way(inputs, tmp_path, target, order, rank):
    _, summary = run(inputs, tmp_path, method="leace", target=target, fourier_order=order)
    assert summary["rank"] == rank
    assert summary["linear_r2_after"] < summary["linear_r2_before"]


def test_images_are_dealt_out_once():
    fitted, train, test = split_images(20, max_images=None, num_probe_images=4, seed=0)
    assert sorted(fitted + train + test) == list(range(20))
    assert len(split_images(20, max_images=5, num_probe_images=4, seed=0)[0]) == 5


def test_too_few_images_are_refused(inputs, tmp_path):
    with pytest.raises(ValueError, match=r"42 images leave none .* lower rasa\.probe\.num_images"):
        run(inputs, tmp_path, probe={**SECTION["probe"], "num_images": 21})


def test_too_many_rounds_are_refused(inputs, tmp_path):
    presets = {"paper": {**PRESET, "rounds": 49}}
    with pytest.raises(ValueError, match="cannot take 98 directions out of 96"):
        run(inputs, tmp_path, presets=presets)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "papper"}, "'papper' is none of paper"),
        ({"target": "fourier"}, "fourier_order is None with target fourier"),
        ({"fourier_order": 3}, "fourier_order is 3 with target linear"),
        ({"methods": "sal"}, "Extra inputs"),
        ({"presets": {"paper": {**PRESET, "views": {**VIEWS, "blur_sigma": [2, 1]}}}}, "no range"),
    ],
)
def test_parameters_that_disagree_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Rasa.model_validate({**SECTION, **changes})
