import json

import pytest
import torch
from safetensors.torch import save_file

from franca.baselines.models import open_model
from franca.data.collate import IMAGENET_MEAN, IMAGENET_STD
from franca.eval.features import BlockFeatureModel, FeatureModel
from franca.eval.native import KeyModel
from franca.models.vit import build_vit
from franca.models.weights import save_backbone
from franca.torchvision_shim import ensure_torchvision

ensure_torchvision()
import open_clip  # noqa: E402
import timm  # noqa: E402

CPU = torch.device("cpu")
TINY = "tiny-tower"


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", autouse=True)
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    vision = {"image_size": 32, "layers": 3, "width": 48, "head_width": 16, "patch_size": 8}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    content = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / f"{TINY}.json").write_text(json.dumps(content))
    open_clip.add_model_config(folder)


def renormalised(images, mean, std):
    pixels = images * torch.tensor(IMAGENET_STD)[:, None, None]
    pixels = pixels + torch.tensor(IMAGENET_MEAN)[:, None, None]
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("vit_tiny_patch16_224", 1), ("vit_tiny_r_s16_p8_224", None), ("test_vit", 1)],
)
@torch.inference_mode()
def test_timm_class_token_and_patches_are_those_of_its_own_forward(images, name, prefix):
    if prefix is None:
        with pytest.raises(ValueError, match=r"timm:.*"):
            open_model(f"timm:{name}x", device=CPU)
        return
    model, _ = open_model(f"timm:{name}", device=CPU)
    constants = model.trunk.pretrained_cfg
    theirs = model.trunk.forward_features(
        renormalised(images, constants["mean"], constants["std"])
    )
    ours = model.forward_features(images)
    torch.testing.assert_close(ours.cls, theirs[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.patches, theirs[:, prefix:], atol=1e-4, rtol=1e-4)
    assert ours.patches.shape[1] == ours.grid[0] * ours.grid[1]
    assert ours.grid == (64 // model.patch_size, 96 // model.patch_size)
