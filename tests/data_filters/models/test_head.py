"""Heads on embeddings, in LAION's two formats."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from data_filters.models.head import Head


def laion():
    """The module of improved-aesthetic-predictor: its dropouts take numbers, not parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(24, 16), nn.Dropout(0.2), nn.Linear(16, 12), nn.Dropout(0.2),
            nn.Linear(12, 8), nn.Dropout(0.1), nn.Linear(8, 4), nn.Linear(4, 1),
        ).eval()  # fmt: skip


def read(file, activation="none", output="linear"):
    return Head.read(file, activation=activation, output=output)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_the_aesthetic_predictor_of_laion(tmp_path, suffix):
    module, file = laion(), tmp_path / f"head.{suffix}"
    state = {f"layers.{name}": value for name, value in module.state_dict().items()}
    torch.save(state, file) if suffix == "pth" else save_file(state, file)
    rows = np.random.default_rng(0).normal(size=(5, 24)).astype(np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(rows))[:, 0].numpy()
    head = read(file)
    assert head.width == 24
    assert head(rows) == pytest.approx(expected, abs=1e-5)


def test_layers_go_by_number_not_by_spelling(tmp_path):
    layers = {number: nn.Linear(2, 2) for number in range(11)} | {11: nn.Linear(2, 1)}
    state = {f"{n}.{k}": v for n, one in layers.items() for k, v in one.state_dict().items()}
    save_file(state, tmp_path / "head.safetensors")
    rows = torch.ones(1, 2)
    with torch.inference_mode():
        for layer in layers.values():
            rows = layer(rows)
    found = read(tmp_path / "head.safetensors")(np.ones((1, 2), np.float32))
    assert found == pytest.approx(rows[0].numpy(), abs=1e-5)


def test_a_single_layer_and_the_functions_between_and_after(tmp_path):
    save_file(
        {"weight": torch.tensor([[1.0, -1]]), "bias": torch.tensor([0.5])},
        tmp_path / "a.safetensors",
    )
    rows = np.array([[1, 2], [2, 1]], np.float32)
    assert read(tmp_path / "a.safetensors")(rows).tolist() == [-0.5, 1.5]
    squashed = read(tmp_path / "a.safetensors", output="sigmoid")(rows)
    assert squashed == pytest.approx(1 / (1 + np.exp([0.5, -1.5])))
    state = {
        "0.weight": torch.tensor([[1.0, 0], [0, -1]]), "0.bias": torch.zeros(2),
        "2.weight": torch.tensor([[1.0, 1]]), "2.bias": torch.zeros(1),
    }  # fmt: skip
    save_file(state, tmp_path / "b.safetensors")
    assert read(tmp_path / "b.safetensors")(rows).tolist() == [-1, 1]
    assert read(tmp_path / "b.safetensors", activation="relu")(rows).tolist() == [1, 2]


@pytest.mark.parametrize(
    "state",
    [
        {"weight": torch.zeros(1, 2)},
        {"weight": torch.zeros(3), "bias": torch.zeros(3)},
        {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)},
        {"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(3),
         "1.weight": torch.zeros(1, 2), "1.bias": torch.zeros(1)},
        {"something": torch.zeros(1)},
    ],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path, state):
    save_file(state, tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=r"head\.safetensors: "):
        read(tmp_path / "head.safetensors")


@pytest.mark.parametrize("form", ["safetensors", "pth", "legacy.pth"])
def test_a_damaged_file_is_named(tmp_path, damaged, form):
    state = {"weight": torch.zeros(1, 2), "bias": torch.zeros(1)}
    whole = tmp_path / f"head.{form}"
    if form == "safetensors":
        save_file(state, whole)
    else:
        torch.save(state, whole, _use_new_zipfile_serialization=form == "pth")
    for file in damaged(whole):
        with pytest.raises(ValueError, match=rf"{file.name}: not readable .*fetch it again"):
            read(file)


@pytest.mark.parametrize("content", [[1.0], {"weight": 1.0, "bias": 0.0}])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "head.pth")
    with pytest.raises(ValueError, match=r"head\.pth: expected a state dict"):
        read(tmp_path / "head.pth")


def test_a_pickle_of_code_is_refused_without_the_advice_to_trust_it(tmp_path):
    torch.save(laion(), tmp_path / "head.pth")
    with pytest.raises(ValueError, match=r"head\.pth: not readable") as caught:
        read(tmp_path / "head.pth")
    assert "trust" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
