"""A backbone of the timm library as an embedder."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from compat.torchvision_shim import ensure_torchvision
from data_filters.io.pixels import Pixels
from data_filters.models.network import Network, Prepared, Vectors
from data_filters.models.weights import reading

ensure_torchvision()

import timm  # noqa: E402  it imports torchvision


class TimmBackbone(Network):
    """Pooled features of a timm model with the user's weights.

    Args:
        model: Name of the architecture.
        weights: Its state dict as safetensors; the classifier may be left out.
        device: Where torch runs it.

    Raises:
        ValueError: timm knows no such architecture, or the weights are not of it.
    """

    def __init__(self, *, model: str, weights: Path, device: str) -> None:
        if not timm.is_model(model):
            raise ValueError(
                f"{model}: timm has no architecture of this name; see timm.list_models()"
            )
        self._device = device
        self._model = timm.create_model(model, pretrained=False, num_classes=0).eval()
        with reading(weights, of=f"the weights of {model}"):
            state = load_file(weights)
            wanted = self._model.state_dict().keys()
            self._model.load_state_dict({name: state[name] for name in wanted})
        self._model.to(device)
        settings = timm.data.resolve_model_data_config(self._model)
        self._prepare = timm.data.create_transform(**settings, is_training=False)

    def prepare(self, pixels: Pixels) -> Prepared:
        """Resize and normalise as timm does when it evaluates this architecture."""
        return np.asarray(self._prepare(Image.fromarray(pixels)).numpy(), dtype=np.float32)

    @torch.inference_mode()
    def forward(self, batch: Prepared) -> Vectors:
        """Return pooled features, [images, dim]."""
        features = self._model(torch.from_numpy(batch).to(self._device))
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)
