"""A timm backbone from a local checkpoint."""

import pytest
import torch
from safetensors.torch import save_file

from data_filters.models.network import vectors
from data_filters.models.timm_backbone import TimmBackbone, timm

NAME = "test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(NAME, pretrained=False)
    file = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    save_file(model.state_dict(), file)
    return file


def test_features_are_what_timm_gives_without_the_classifier(weights, picture):
    ours = TimmBackbone(model=NAME, weights=weights, device="cpu")
    prepared = [ours.prepare(picture(index)) for index in range(3)]
    found = vectors(ours, prepared, batch_size=2)
    from safetensors.torch import load_file

    model = timm.create_model(NAME, pretrained=False).eval()
    model.load_state_dict(load_file(weights))
    with torch.inference_mode():
        whole = model.forward_features(torch.stack([torch.from_numpy(each) for each in prepared]))
        expected = model.forward_head(whole, pre_logits=True)
    assert found == pytest.approx(expected.numpy(), abs=1e-5)


def test_mistakes(weights):
    with pytest.raises(ValueError, match="timm has no architecture"):
        TimmBackbone(model="vit_nonesuch", weights=weights, device="cpu")
    with pytest.raises(
        ValueError, match=r"weights\.safetensors: not readable as the weights of resn"
    ):
        TimmBackbone(model="resnet10t", weights=weights, device="cpu")


def test_damaged_weights_are_named(weights, damaged):
    for file in damaged(weights):
        with pytest.raises(ValueError, match=rf"{file.name}: not readable .*fetch it again"):
            TimmBackbone(model=NAME, weights=file, device="cpu")
