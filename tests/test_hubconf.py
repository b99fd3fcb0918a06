"""torch.hub's entry points load what `franca.load` loads, from a file or from an address."""

import functools
import http.server
import threading
from pathlib import Path

import pytest
import torch

from franca.models.vit import build_vit
from franca.models.weights import save_backbone
from franca.rasa.linear_map import identity_map, save_map

ROOT = str(Path(__file__).parents[1])
load = functools.partial(torch.hub.load, ROOT, source="local")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = build_vit("vit_tiny", generator=torch.Generator().manual_seed(0))
    save_backbone(model, folder / "tiny.safetensors", metadata={})
    save_map(identity_map(96), folder / "map.safetensors")
    return folder


@pytest.fixture
def address(folder, tmp_path, monkeypatch):
    """Serve the folder, and give torch.hub a folder of its own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_local_file(folder):
    model = load("backbone", weights=str(folder / "tiny.safetensors"), dim=12)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 12)


def test_addresses_are_fetched_once(address, tmp_path):
    arguments = {"weights": f"{address}/tiny.safetensors", "rasa": f"{address}/map.safetensors"}
    assert load("backbone", **arguments).embed_dim == 96
    fetched = tmp_path / "torch" / "hub" / "checkpoints"
    assert sorted(file.name.partition("-")[2] for file in fetched.iterdir()) == [
        "map.safetensors",
        "tiny.safetensors",
    ]
    times = [file.stat().st_mtime_ns for file in fetched.iterdir()]
    load("backbone", **arguments)
    assert [file.stat().st_mtime_ns for file in fetched.iterdir()] == times


def test_files_of_one_name_at_two_addresses_are_two(address, folder):
    other = build_vit("vit_tiny", generator=torch.Generator().manual_seed(1))
    (folder / "other").mkdir()
    save_backbone(other, folder / "other/tiny.safetensors", metadata={})
    first, second = (
        load("backbone", weights=f"{address}/{path}").model.pos_embed
        for path in ("tiny.safetensors", "other/tiny.safetensors")
    )
    assert torch.equal(second, other.pos_embed)
    assert not torch.equal(first, second)


def test_a_page_in_place_of_weights_is_told_with_the_file_to_delete(address, folder):
    (folder / "page.pth").write_text("<!DOCTYPE html>")
    with pytest.raises(
        ValueError, match=r"checkpoints/\w{8}-page.pth: .*starts with '<!DOCTYPE.*: delete it and"
    ):
        load("backbone", weights=f"{address}/page.pth")


def test_a_named_size_loads(tmp_path):
    with torch.device("meta"):
        empty = build_vit("vit_b14")
    zeros = {
        name: torch.zeros(t.shape, dtype=torch.bfloat16) for name, t in empty.state_dict().items()
    }
    torch.save({"teacher": zeros}, tmp_path / "franca_vitb14.pth")
    assert load("vit_b14", weights=str(tmp_path / "franca_vitb14.pth")).embed_dim == 768


@pytest.mark.parametrize("name", ["vit_b14", "vit_l14", "vit_g14"])
def test_another_size_than_named_is_refused(folder, name):
    with pytest.raises(ValueError, match=f"holds vit_tiny, but {name} was asked for"):
        load(name, weights=str(folder / "tiny.safetensors"))
