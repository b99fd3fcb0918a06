"""`franca.load`: every kind of file, with a map or without, all features or the first ones."""

import subprocess
import sys

import pytest
import torch

import franca
from franca.models.archs import Arch
from franca.models.vit import VisionTransformer, build_vit
from franca.models.weights import save_backbone
from franca.rasa.fold import FoldedBackbone
from franca.rasa.folded_file import save_folded
from franca.rasa.head import plane_of, remove_plane
from franca.rasa.linear_map import LinearMap, save_map


@pytest.fixture(scope="module")
def model():
    draw = torch.Generator().manual_seed(0)
    # The law that a released file with registers is taken to have.
    settings = {"registers": 2, "interpolation": "antialias", "layer_scale": 1.0}
    return build_vit("vit_tiny", **settings, generator=draw).eval()


@pytest.fixture(scope="module")
def linear_map():
    draw = torch.Generator().manual_seed(1)
    A, B = torch.randn(96, 3, generator=draw) / 10, torch.randn(3, 96, generator=draw) / 10
    return LinearMap(A, B, torch.randn(96, generator=draw), metadata={"method": "leace"})


@pytest.fixture(scope="module")
def released(model):
    """What a released file with RASA heads beside the backbone holds."""
    draw = torch.Generator().manual_seed(2)
    names = ("pre_pos_layers.0", "pre_pos_layers.1", "pos_pred")
    heads = {f"rasa_head.{name}.weight": torch.randn(2, 96, generator=draw) for name in names}
    return {"teacher": model.state_dict() | heads}


@pytest.fixture(scope="module")
def files(tmp_path_factory, model, linear_map, released):
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(model, folder / "model.safetensors", metadata={"step": 7})
    save_map(linear_map, folder / "map.safetensors")
    torch.save(released, folder / "released.pth")
    return folder


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(3))


def test_importing_the_package_imports_no_torch():
    program = "import sys, franca; assert 'torch' not in sys.modules; franca.load; import torch"
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="module 'franca' has no attribute 'save'"):
        franca.save  # noqa: B018


@torch.no_grad()
def test_our_own_checkpoint(files, model, images):
    backbone = franca.load(files / "model.safetensors")
    wanted, got = model.forward_features(images), backbone.forward_features(images)
    assert torch.equal(got.patches, wanted.patches)
    assert torch.equal(backbone(images), wanted.cls)
    assert (backbone.embed_dim, backbone.patch_size, backbone.metadata["step"]) == (96, 8, 7)
    assert not backbone.training


@torch.no_grad()
def test_released_file_as_string(files, model):
    backbone = franca.load(str(files / "released.pth"))
    assert backbone.metadata["released_file"] == "released.pth"
    got = backbone.model.state_dict()
    assert all(torch.equal(tensor, got[name]) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_a_map_corrects_patches_and_nothing_else(files, model, linear_map, images):
    got = franca.load(files / "model.safetensors", rasa=files / "map.safetensors").forward_features(
        images
    )
    plain = model.forward_features(images)
    torch.testing.assert_close(got.patches, linear_map(plain.patches), atol=1e-5, rtol=0)
    torch.testing.assert_close(got.cls, plain.cls, atol=1e-6, rtol=0)
    torch.testing.assert_close(got.registers, plain.registers, atol=1e-6, rtol=0)


@torch.no_grad()
def test_rasa_heads_inside_the_released_file_are_removed_in_order(files, model, released, images):
    path = files / "released.pth"
    got = franca.load(path, rasa=path).forward_features(images)
    expected = model.forward_features(images).patches
    for name in ("pre_pos_layers.0", "pre_pos_layers.1", "pos_pred"):
        expected = remove_plane(expected, plane_of(released["teacher"][f"rasa_head.{name}.weight"]))
    torch.testing.assert_close(got.patches, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_first_features_only(files, images):
    whole = franca.load(files / "model.safetensors", rasa=files / "map.safetensors")
    part = franca.load(files / "model.safetensors", rasa=files / "map.safetensors", dim=24)
    wanted, got = whole.forward_features(images), part.forward_features(images)
    assert part.embed_dim == 24
    assert torch.equal(got.cls, wanted.cls[:, :24])
    assert torch.equal(got.patches, wanted.patches[..., :24])
    assert torch.equal(got.registers, wanted.registers[..., :24])
    assert got.grid == wanted.grid == (8, 6)


@torch.no_grad()
def test_a_folded_file_round_trips(files, model, linear_map, images):
    path = files / "folded.safetensors"
    folded = FoldedBackbone(model, linear_map)
    save_folded(folded, path, metadata={"step": 7, "rasa": {"method": "leace"}})
    backbone = franca.load(path)
    assert backbone.metadata["rasa"] == {"method": "leace"}
    assert torch.equal(
        backbone.forward_features(images).patches, folded.forward_features(images).patches
    )
    with pytest.raises(ValueError, match="corrected already: leave out rasa"):
        franca.load(path, rasa=files / "map.safetensors")


def test_addresses_are_not_taken_for_files():
    with pytest.raises(FileNotFoundError, match=r"^https://a.org/b.pth: addresses are not fetched"):
        franca.load("https://a.org/b.pth")


def test_sizes_of_your_own(files):
    arch = Arch("own", width=24, depth=1, heads=2, patch_size=4, image_size=8)
    model = VisionTransformer(arch=arch, generator=torch.Generator().manual_seed(0))
    torch.save(model.state_dict(), files / "own.pth")
    assert franca.load(files / "own.pth", arch=arch).embed_dim == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "absent.pth"}, r"absent.pth: no such file; give a checkpoint"),
        ({"rasa": "absent.safetensors"}, r"absent.safetensors: no such file; give the map"),
        ({"rasa": "model.safetensors"}, r"model.safetensors: no map and no RASA heads in it"),
        ({"arch": "vit_b14"}, r"model.safetensors: holds vit_tiny, but vit_b14 was asked for"),
        (
            {"source": "released.pth", "arch": "vit_b14"},
            r"released.pth: tensors do not fit vit_b14",
        ),
        ({"source": "map.safetensors"}, r"map.safetensors: holds no model, but A, B, mean"),
        ({"source": "."}, "is a folder; name the file of weights in it"),
        ({"rasa": "."}, "is a folder; name the file of weights in it"),
        ({"dim": 97}, "dim is 97, but the model has 1 to 96 features"),
        ({"dim": 0}, "dim is 0"),
    ],
)
def test_mistakes_are_told_in_one_line(files, arguments, message):
    paths = {
        key: files / value if key in ("source", "rasa") else value
        for key, value in ({"source": "model.safetensors"} | arguments).items()
    }
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        franca.load(**paths)
    assert "\n" not in str(caught.value)
