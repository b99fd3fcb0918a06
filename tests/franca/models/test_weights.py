"""Weights: round trips, released layouts, and what is said about files that are not right."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from franca.models.archs import Arch
from franca.models.vit import VisionTransformer, build_vit
from franca.models.weights import (
    import_released,
    load_backbone,
    released_rasa,
    save_backbone,
)
from franca.randomness import generator
from franca.rasa.linear_map import identity_map, save_map

ORACLE = np.load(Path(__file__).parents[2] / "oracles" / "vit.npz", allow_pickle=False)
BASE = Arch("base", width=48, depth=4, heads=3, patch_size=14, image_size=224)


def model_of(seed=0, **arguments):
    return build_vit("vit_tiny", generator=generator(seed, "weights"), **arguments).eval()


def released_state(weights="base"):
    prefix = f"in/{weights}/sd/"
    return {
        key.removeprefix(prefix): torch.from_numpy(ORACLE[key])
        for key in ORACLE.files
        if key.startswith(prefix)
    }


def test_round_trip_keeps_weights_settings_and_metadata(tmp_path):
    model = model_of(registers=2, interpolation="antialias", image_size=32, patch_size=4)
    save_backbone(model, tmp_path / "m.safetensors", metadata={"step": 3, "samples": 96})
    loaded, metadata = load_backbone(tmp_path / "m.safetensors")
    assert metadata["step"] == 3
    assert metadata["model"]["arch"] == "vit_tiny"
    assert metadata["model"] == loaded.settings == model.settings
    images = torch.randn(2, 3, 32, 40)
    wanted, got = model.forward_features(images), loaded.forward_features(images)
    assert torch.equal(wanted.patches, got.patches)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_bytes_repeat_and_depend_on_the_weights(tmp_path):
    files = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(files, (0, 0, 1), strict=True):
        save_backbone(model_of(seed), path, metadata={"b": 1, "a": 2})
    first, again, other = (path.read_bytes() for path in files)
    assert first == again
    assert first != other
    assert str(tmp_path).encode() not in first


def test_precision_survives(tmp_path):
    save_backbone(model_of().bfloat16(), tmp_path / "m", metadata={})
    assert load_backbone(tmp_path / "m")[0].norm.weight.dtype == torch.bfloat16


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent.safetensors: no such file"):
        load_backbone(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_file_is_refused_in_one_line(tmp_path, keep):
    path = tmp_path / "m.safetensors"
    save_backbone(model_of(), path, metadata={})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"m.safetensors: damaged safetensors file") as caught:
        load_backbone(path)
    assert "\n" not in str(caught.value)


def test_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "m")
    with pytest.raises(ValueError, match="no 'franca' entry in the header"):
        load_backbone(tmp_path / "m")


def test_wrong_keys_and_shapes_are_listed(tmp_path):
    model = model_of()
    state = model.state_dict()
    state["extra.weight"] = state.pop("norm.weight")
    state["mask_token"] = torch.zeros(1, 95)
    header = {"franca": json.dumps({"model": model.settings})}
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "m", metadata=header)
    with pytest.raises(ValueError, match="do not fit vit_tiny") as caught:
        load_backbone(tmp_path / "m")
    assert "missing: norm.weight" in str(caught.value)
    assert "unknown: extra.weight" in str(caught.value)
    assert "mask_token (1, 95) instead of (1, 96)" in str(caught.value)


def test_released_state_dict_is_taken_apart():
    state = released_state()
    state["dino_head.mlps.0.bias"] = torch.zeros(1)
    state["rasa_head.pos_pred.weight"] = torch.zeros(2, 48)
    imported = import_released({"teacher": state}, BASE)
    assert sorted(imported.heads) == ["dino_head.last_layers.0.weight_g", "dino_head.mlps.0.bias"]
    assert list(imported.rasa) == ["rasa_head.pos_pred.weight"]
    assert imported.model.arch.image_size == 56  # from the file, not from the row
    chunked = state["backbone.blocks.1.3.mlp.w3.weight"]
    assert torch.equal(imported.model.state_dict()["blocks.3.mlp.w3.weight"], chunked)


@pytest.mark.parametrize(
    "prefix", ["", "module.", "backbone.", "module.backbone.", "backbone.module."]
)
def test_prefixes_are_stripped_at_the_start_only(prefix):
    state = {prefix + key: value for key, value in model_of().state_dict().items()}
    imported = import_released(state, "vit_tiny")
    assert torch.equal(imported.model.pos_embed, state[prefix + "pos_embed"])
    state["norm.module.backbone.bias"] = state[prefix + "norm.bias"]
    with pytest.raises(ValueError, match=r"unknown: norm\.module\.backbone\.bias"):
        import_released(state, "vit_tiny")


def test_released_file_of_torch(tmp_path):
    torch.save({"teacher": released_state()}, tmp_path / "franca.pth")
    imported = import_released(tmp_path / "franca.pth", BASE)
    assert torch.equal(imported.model.cls_token, released_state()["backbone.cls_token"])


@pytest.mark.parametrize("grid", [16, 37])
def test_grids_of_224_and_518_pixels_are_recognised(grid):
    state = model_of(patch_size=14, image_size=14 * grid).state_dict()
    arch = Arch("t", width=96, depth=3, heads=3, patch_size=14, image_size=224)
    assert import_released(state, arch).model.arch.image_size == 14 * grid


def test_registers_and_plain_feed_forward_of_dinov2():
    arch = Arch("reg", width=32, depth=2, heads=2, patch_size=14, image_size=224, ffn="mlp")
    model = import_released(released_state("reg"), arch).model
    assert model.num_registers == 4
    # DINOv2 trained its models with registers under the other law (its hub's `_make_dinov2_model`).
    assert model.interpolation == "antialias"
    franca = import_released(released_state("reg"), arch, interpolation="franca").model
    assert franca.interpolation == "franca"


@pytest.mark.parametrize("name", ["vit_s14", "vit_s14_mlp", "vit_ti14"])
def test_architecture_is_recognised_by_the_tensors(name):
    with torch.device("meta"):
        state = build_vit(name, image_size=518).state_dict()
    model = import_released(state).model
    assert (model.arch.name, model.arch.image_size) == (name, 518)
    assert model.interpolation == "franca"


def test_unrecognised_sizes_are_told():
    with pytest.raises(ValueError, match="4 blocks of width 48 with swiglu are none of vit_tiny"):
        import_released(released_state())


def test_chunks_of_several_blocks_keep_their_order():
    arch = Arch("deep", width=12, depth=12, heads=1, patch_size=14, image_size=28)
    model = VisionTransformer(arch=arch, generator=generator(0, "weights"))
    chunked = {
        re.sub(
            r"^blocks\.(\d+)", lambda block: f"blocks.{int(block[1]) // 3}.{block[1]}", key
        ): tensor
        for key, tensor in model.state_dict().items()
    }
    assert "blocks.3.11.norm1.weight" in chunked
    loaded = import_released({"teacher": chunked}, arch).model.state_dict()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in model.state_dict().items())


def test_released_tensors_in_a_safetensors_file(tmp_path):
    save_file(model_of().state_dict(), tmp_path / "franca.safetensors")
    imported = import_released(tmp_path / "franca.safetensors")
    assert torch.equal(imported.model.pos_embed, model_of().pos_embed)


def test_heads_of_rasa_are_found_with_or_without_a_backbone(tmp_path):
    heads = {"pre_pos_layers.0.weight": torch.ones(2, 96), "pos_pred.weight": torch.ones(2, 96)}
    prefixed = {f"module.rasa_head.{name}": weight for name, weight in heads.items()}
    torch.save(heads, tmp_path / "alone.pth")
    torch.save({"teacher": model_of().state_dict() | prefixed}, tmp_path / "inside.pth")
    assert list(released_rasa(tmp_path / "alone.pth")) == list(heads)
    assert list(released_rasa(tmp_path / "inside.pth")) == [f"rasa_head.{name}" for name in heads]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "the entry 'franca' of its header is no table"),
        ("[1]", "the entry 'franca' of its header is no table"),
        ('{"model": {}}', "describes no model of this version .KeyError: 'arch'.; load it with"),
        ('{"model": 1}', r"describes no model of this version"),
    ],
)
def test_a_header_of_another_version_is_refused(tmp_path, header, message):
    save_file({"norm.bias": torch.zeros(1)}, tmp_path / "m", metadata={"franca": header})
    with pytest.raises(ValueError, match=message):
        load_backbone(tmp_path / "m")


def test_an_option_that_this_version_lacks_is_refused(tmp_path):
    settings = model_of().settings | {"rope": True}
    header = {"franca": json.dumps({"model": settings})}
    save_file(model_of().state_dict(), tmp_path / "m", metadata=header)
    with pytest.raises(ValueError, match=r"m: its header describes no model .*'rope'"):
        load_backbone(tmp_path / "m")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": 3}, "'epoch' is no name of a tensor: give the state dict itself"),
        ({0: torch.zeros(1)}, "0 is no name of a tensor"),
        ({"module.norm.bias": torch.zeros(96)}, r"holds norm.bias as module.norm.bias, too"),
        ({"pos_embed": torch.zeros(65, 96)}, r"pos_embed \(65, 96\) is not \[1, tokens, width\]"),
        ({"pos_embed": torch.zeros(1, 1, 96)}, r"pos_embed \(1, 1, 96\) is not"),
        ({"register_tokens": torch.zeros(4)}, r"register_tokens \(4,\) is not"),
        ({"norm.bias": torch.zeros(96, dtype=torch.int64)}, "not floating-point: norm.bias"),
        (
            {"pos_embed": torch.zeros(1, 63, 96)},
            r"pos_embed \(1, 63, 96\) instead of \(1, 65, 96\)",
        ),
    ],
)
def test_a_state_dict_with_an_oddity_is_refused_by_its_name(changed, message):
    with pytest.raises(ValueError, match=message):
        import_released(model_of().state_dict() | changed, "vit_tiny")


def test_a_training_state_is_told_from_a_backbone():
    state = {f"student.backbone.{name}": t for name, t in model_of().state_dict().items()}
    with pytest.raises(ValueError, match=r"so no backbone; found student.*of its checkpoints/"):
        import_released(state)


@pytest.mark.parametrize("content", [[1], {"teacher": torch.zeros(2)}])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd.pth: holds a (list|Tensor), not tensors by name"):
        import_released(tmp_path / "odd.pth", "vit_tiny")


def test_a_map_is_not_taken_for_a_model(tmp_path):
    save_map(identity_map(4), tmp_path / "map.safetensors")
    with pytest.raises(ValueError, match="holds no model, but A, B, mean"):
        load_backbone(tmp_path / "map.safetensors")


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickled_code_is_not_executed(tmp_path, capsys):
    torch.save({"teacher": Harmful()}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"bad.pth: .*could run code") as caught:
        import_released(tmp_path / "bad.pth", "vit_tiny")
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_released_file_must_exist_and_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match="download the released checkpoint"):
        import_released(tmp_path / "absent.pth", "vit_b14")
    with pytest.raises(ValueError, match="no 'pos_embed', so no backbone; found a, b:"):
        import_released({"b": torch.zeros(1), "a": torch.zeros(1)}, "vit_b14")
    with pytest.raises(ValueError, match="do not fit vit_tiny"):
        import_released(released_state(), "vit_tiny")
