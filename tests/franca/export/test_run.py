"""Exports: what is written, what is said, and that nothing wrong is ever published."""

import dataclasses
import re
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

from franca.api import load
from franca.export import FormatName
from franca.export.run import FORMATS, run
from franca.models.vit import build_vit
from franca.rasa.folded_file import save_folded
from franca.rasa.linear_map import identity_map, save_map


def test_every_format_that_the_command_line_offers_is_there():
    assert tuple(FORMATS) == get_args(FormatName)


def test_prints_the_difference_and_writes_a_card(tmp_path, files):
    output = tmp_path / "new" / "folder"
    lines = run(
        format_name="safetensors", weights=files / "model.safetensors", rasa=None, output=output
    )
    assert lines[0].startswith("max difference 0.0e+00 at 24x24 pixels")
    assert lines[1].startswith("max difference 0.0e+00 at 32x12 pixels")
    assert sorted(path.name for path in output.iterdir()) == ["README.md", "model.safetensors"]
    assert list(output.parent.iterdir()) == [output]  # nothing left of the staging folder
    card = (output / "README.md").read_text()
    assert lines[0] in card
    assert '"step": 7' in card
    assert str(files) not in card


@torch.no_grad()
def test_safetensors_hold_the_map(tmp_path, files, linear_map):
    weights, rasa = files / "model.safetensors", files / "map.safetensors"
    run(format_name="safetensors", weights=weights, rasa=rasa, output=tmp_path / "out")
    images = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    plain = load(weights).forward_features(images)
    got = load(tmp_path / "out" / "model.safetensors").forward_features(images)
    torch.testing.assert_close(got.patches, linear_map(plain.patches), atol=2e-5, rtol=0)
    torch.testing.assert_close(got.cls, plain.cls, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", ["timm", "huggingface"])
def test_where_the_map_does_not_fit_it_lies_beside_and_a_line_says_so(
    tmp_path, files, linear_map, name
):
    lines = run(
        format_name=name,
        weights=files / "model.safetensors",
        rasa=files / "map.safetensors",
        output=tmp_path / "out",
    )
    assert any("patches leave uncorrected, and rasa_map.safetensors" in line for line in lines)
    card = (tmp_path / "out" / "README.md").read_text()
    (snippet,) = re.findall(r"```python\n(from safetensors.*?)```", card, re.DOTALL)
    snippet = snippet.replace('"rasa_map.safetensors"', f'"{tmp_path}/out/rasa_map.safetensors"')
    patches = torch.randn(1, 9, 36, generator=torch.Generator().manual_seed(0))
    names = {"patches": patches}
    exec(compile(snippet, "README.md", "exec"), names)  # the card is ours
    torch.testing.assert_close(names["patches"], linear_map(patches), atol=1e-5, rtol=0)
    assert "A" in load_file(tmp_path / "out" / "rasa_map.safetensors")


def test_a_format_that_gives_other_features_is_not_published(tmp_path, files, monkeypatch):
    def write_something_else(backbone, folder):
        with torch.no_grad():
            backbone.model.norm.bias.add_(0.01)
        form.write(backbone, folder)
        with torch.no_grad():
            backbone.model.norm.bias.sub_(0.01)

    form = FORMATS["safetensors"]
    wrong = dataclasses.replace(form, write=write_something_else)
    monkeypatch.setitem(FORMATS, "safetensors", wrong)
    with pytest.raises(ValueError, match=r"max difference 1.0e-02 .*, so that nothing was written"):
        run(
            format_name="safetensors",
            weights=files / "model.safetensors",
            rasa=None,
            output=tmp_path / "out",
        )
    assert list(tmp_path.iterdir()) == []


def test_a_released_file_keeps_its_name_and_licence_through_a_second_export(tmp_path):
    state = build_vit("vit_tiny", generator=torch.Generator().manual_seed(0)).state_dict()
    torch.save({"teacher": state}, tmp_path / "released.pth")
    first, second = tmp_path / "first", tmp_path / "second"
    run(format_name="safetensors", weights=tmp_path / "released.pth", rasa=None, output=first)
    run(format_name="timm", weights=first / "model.safetensors", rasa=None, output=second)
    for folder in (first, second):
        card = (folder / "README.md").read_text()
        assert "research-only RAIL" in card
        assert '"released_file": "released.pth"' in card
        assert str(tmp_path) not in card


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_map_of_another_backbone_is_refused(tmp_path, files, name):
    save_map(identity_map(96), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"takes (36|96) channels and"):
        run(
            format_name=name,
            weights=files / "model.safetensors",
            rasa=tmp_path / "other.safetensors",
            output=tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()


def test_folded_weights_do_not_go_where_a_map_cannot(tmp_path, files):
    folded = load(files / "model.safetensors", rasa=files / "map.safetensors")
    save_folded(folded.model, tmp_path / "folded.safetensors", metadata=folded.metadata)
    with pytest.raises(ValueError, match="RASA is folded into it, which timm cannot hold"):
        run(
            format_name="timm",
            weights=tmp_path / "folded.safetensors",
            rasa=None,
            output=tmp_path / "out",
        )


def test_an_existing_folder_is_left_alone(tmp_path, files):
    with pytest.raises(ValueError, match="is there already; name a new folder"):
        run(format_name="timm", weights=files / "model.safetensors", rasa=None, output=tmp_path)
