"""The commands and the example of docs/export.md run as printed, and so do the cards they write."""

import re
import shlex
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

import franca
from franca.models.vit import build_vit
from franca.models.weights import save_backbone
from franca.rasa.linear_map import LinearMap, save_map
from workflow.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
COMMANDS = re.findall(r"^franca (export .*)$", PAGE, re.M)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with the files that the page names."""
    draw = torch.Generator().manual_seed(0)
    model = build_vit("vit_tiny", layer_scale=1.0, generator=draw)
    A, B = torch.randn(96, 2, generator=draw) / 10, torch.randn(2, 96, generator=draw) / 10
    linear_map = LinearMap(A, B, torch.zeros(96))
    for name in ("highres.safetensors", *re.findall(r'"(artifacts/.*highres.safetensors)"', PAGE)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save_backbone(model, tmp_path / name, metadata={})
    for name in ("map.safetensors", *re.findall(r'"(artifacts/.*map.safetensors)"', PAGE)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save_map(linear_map, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def images():
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.usefixtures("folder")
def test_the_example(images):
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {"images": images}
    exec(compile(snippet, "export.md", "exec"), names)  # the page is ours
    assert names["features"].patches.shape == (1, 64, 48)


@torch.no_grad()
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[2])
def test_a_command_and_the_card_it_writes(folder, images, command, monkeypatch, capsys):
    arguments = shlex.split(command)
    # While a graph is traced, sizes are symbols and no ints: shapes cannot be checked.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    app(arguments, standalone_mode=False)
    assert capsys.readouterr().out.startswith("max difference ")
    card = Path(arguments[arguments.index("--output") + 1], "README.md")
    snippet = re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)[0]
    monkeypatch.chdir(card.parent)
    names = {"images": images.numpy() if "onnx" in command else images}
    exec(compile(snippet, "README.md", "exec"), names)  # the card is ours
    patches = names["patches"] if "patches" in names else names["features"].patches
    rasa = folder / "map.safetensors" if "--rasa" in command else None
    wanted = franca.load(folder / "highres.safetensors", rasa=rasa).forward_features(images)
    np.testing.assert_allclose(patches, wanted.patches, atol=1e-5)
