"""A folded backbone survives its file, which says what it is."""

import pytest
import torch

from franca.models.vit import build_vit
from franca.models.weights import read_header, write_tensors
from franca.rasa.fold import FoldedBackbone
from franca.rasa.folded_file import is_folded, load_folded, save_folded
from franca.rasa.linear_map import LinearMap


@pytest.fixture(scope="module")
def folded():
    draw = torch.Generator().manual_seed(0)
    model = build_vit("vit_tiny", layer_scale=1.0, registers=2, generator=draw).eval()
    A, B = torch.randn(96, 3, generator=draw) / 10, torch.randn(3, 96, generator=draw) / 10
    return FoldedBackbone(model, LinearMap(A, B, torch.randn(96, generator=draw)))


@torch.no_grad()
def test_round_trip_is_exact(folded, tmp_path):
    path = tmp_path / "folded.safetensors"
    save_folded(folded, path, metadata={"step": 7, "rasa": {"method": "leace"}})
    loaded, metadata = load_folded(path)
    assert (metadata["step"], metadata["rasa"]) == (7, {"method": "leace"})
    images = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    wanted, got = folded.forward_features(images), loaded.forward_features(images)
    assert torch.equal(got.patches, wanted.patches)
    assert torch.equal(got.cls, wanted.cls)
    assert not loaded.training


def test_the_header_says_so_even_if_nothing_is_known_of_the_map(folded, tmp_path):
    save_folded(folded, tmp_path / "folded", metadata={})
    assert is_folded(read_header(tmp_path / "folded"))
    assert not is_folded({"model": {}})


def test_bytes_repeat(folded, tmp_path):
    for name in ("first", "again"):
        save_folded(folded, tmp_path / name, metadata={"b": 1, "a": 2})
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize(
    ("affine", "found"),
    [({}, "missing"), ({"patch_affine.weight": torch.zeros(96, 2)}, "weight': \\(96, 2\\)")],
)
def test_an_affine_that_does_not_fit_is_refused(folded, tmp_path, affine, found):
    header = {"model": folded.model.settings, "rasa": {}}
    write_tensors(folded.model.state_dict() | affine, tmp_path / "odd", header=header)
    with pytest.raises(ValueError, match=f"odd: the affine of patches is .*{found}.* 96 channels"):
        load_folded(tmp_path / "odd")
