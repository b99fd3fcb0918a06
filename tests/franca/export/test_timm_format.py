"""Stock timm gives our features, from a folder that holds no code."""

import json

import pytest
from safetensors import safe_open

from franca.export.parity import measure
from franca.export.timm_format import TIMM, mlp_ratio
from franca.models.archs import ARCHS, Arch, swiglu_hidden
from tests.franca.export.conftest import backbone_of


@pytest.mark.parametrize("ffn", ["swiglu", "mlp"])
@pytest.mark.parametrize("registers", [0, 3])
@pytest.mark.parametrize("interpolation", ["franca", "antialias"])
def test_same_features(tmp_path, ffn, registers, interpolation):
    backbone = backbone_of(ffn=ffn, registers=registers, interpolation=interpolation)
    TIMM.write(backbone, tmp_path)
    read = TIMM.open(tmp_path)
    assert measure(backbone, read, size=(24, 24), batch=1).tolerated
    # timm resizes positions by one of our two laws; the other law differs visibly.
    other = measure(backbone, read, size=(32, 12), batch=2)
    assert other.tolerated is (interpolation == "antialias")
    assert TIMM.interpolation(backbone.model) == "antialias"


def test_writes_what_timm_reads_and_no_more(tmp_path):
    TIMM.write(backbone_of(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert "mask_token" not in file.keys()  # noqa: SIM118
    arguments = json.loads((tmp_path / "config.json").read_text())["model_args"]
    assert arguments["no_embed_class"] is False


def test_ratios_of_the_table():
    assert mlp_ratio(ARCHS["vit_b14"]) == 4096 / 768
    assert mlp_ratio(ARCHS["vit_l14"]) == 5.34375
    assert mlp_ratio(ARCHS["vit_g14"]) == 8192 / 1536
    assert mlp_ratio(ARCHS["vit_b14_mlp"]) == 4


def test_the_ratio_survives_rounding_at_every_width():
    for width in range(1, 4097):
        arch = Arch("any", width=width, depth=1, heads=1, patch_size=1, image_size=1)
        assert int(width * mlp_ratio(arch)) == 2 * swiglu_hidden(width)
