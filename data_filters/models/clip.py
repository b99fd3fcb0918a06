"""CLIP by open_clip: images and texts as vectors of one space."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from compat.torchvision_shim import ensure_torchvision
from data_filters.io.pixels import Pixels
from data_filters.models.network import Network, Prepared, Vectors, normalised
from data_filters.models.weights import reading

ensure_torchvision()

import open_clip  # noqa: E402  it imports torchvision


class Clip(Network):
    """The two towers of a CLIP with the user's weights; nothing is downloaded.

    Args:
        model: Name of a configuration that open_clip ships, or the path of one (.json).
        weights: The checkpoint: safetensors, or a state dict that holds nothing but tensors.
        device: Where torch runs it.
        batch_size: Texts per batch.

    Raises:
        ValueError: open_clip knows no such configuration, or the weights are not of it.
    """

    def __init__(self, *, model: str, weights: Path, device: str, batch_size: int) -> None:
        self._device, self._batch_size = device, batch_size
        name = _configuration(model)
        with reading(weights, of=f"the weights of {name}"):
            self._model, self._prepare = open_clip.create_model_from_pretrained(
                name, pretrained=str(weights)
            )
        self._model.requires_grad_(False).eval().to(device)
        self._tokenize = open_clip.get_tokenizer(name)
        self.scale = float(self._model.logit_scale.detach().exp())
        """Cosines are multiplied with it before a softmax."""

    def prepare(self, pixels: Pixels) -> Prepared:
        """Resize and normalise as the checkpoint's own configuration says."""
        return np.asarray(self._prepare(Image.fromarray(pixels)).numpy(), dtype=np.float32)

    @torch.inference_mode()
    def forward(self, batch: Prepared) -> Vectors:
        """Return embeddings of length one, [images, dim]."""
        images = torch.from_numpy(batch).to(self._device)
        return normalised(self._model.encode_image(images).float().cpu().numpy())

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: embeddings of length one, [texts, dim]."""
        found = []
        for start in range(0, len(texts), self._batch_size):
            batch = list(texts[start : start + self._batch_size])
            padded = batch + [""] * (self._batch_size - len(batch))
            tokens = self._tokenize(padded).to(self._device)
            encoded = self._model.encode_text(tokens).float().cpu().numpy()
            found.append(normalised(encoded[: len(batch)]))
        return np.concatenate(found)


def _configuration(model: str) -> str:
    """Return the name under which open_clip knows a configuration, registering a file's."""
    if model.endswith(".json"):
        path = Path(model)
        if not path.is_file():
            raise FileNotFoundError(f"{model}: no such configuration of open_clip")
        open_clip.add_model_config(path)
        return path.stem
    if model not in open_clip.list_models():
        raise ValueError(
            f"{model}: open_clip has no configuration of this name; see open_clip.list_models() or "
            "give the path of one (.json)"
        )
    return model
