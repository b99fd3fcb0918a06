"""Entry points of torch.hub: `torch.hub.load(REPOSITORY, "vit_b14", weights=...)`.

No weights are shipped. `weights` is a local file, or the address of one that you choose; the
released Franca weights are under their authors' research-only RAIL, which you accept by using them.

    backbone = torch.hub.load(REPOSITORY, "vit_b14", weights="franca_vitb14_In21K.pth", dim=384)
    features = backbone.forward_features(images)  # .cls, .patches, .grid
"""

import hashlib
from pathlib import Path
from urllib.parse import urlparse

import torch

from franca.api import Backbone, load

dependencies = ["torch", "numpy", "safetensors", "jaxtyping"]


def backbone(
    weights: str, *, arch: str | None = None, rasa: str | None = None, dim: int | None = None
) -> Backbone:
    """Load a backbone of any architecture; arguments and errors are those of `franca.load`.

    Args:
        weights: a file, or an http(s) address, which is fetched once, into torch.hub's folder.
        arch: architecture that the file must hold; by default recognised.
        rasa: file or address of a map, or of released RASA heads.
        dim: keep the first `dim` features of every token.
    """
    return load(_fetch(weights), arch=arch, rasa=rasa and _fetch(rasa), dim=dim)


def vit_b14(weights: str, *, rasa: str | None = None, dim: int | None = None) -> Backbone:
    """Load a ViT-B/14 with SwiGLU, Franca's; arguments as for `backbone`."""
    return backbone(weights, arch="vit_b14", rasa=rasa, dim=dim)


def vit_l14(weights: str, *, rasa: str | None = None, dim: int | None = None) -> Backbone:
    """Load a ViT-L/14 with SwiGLU, Franca's; arguments as for `backbone`."""
    return backbone(weights, arch="vit_l14", rasa=rasa, dim=dim)


def vit_g14(weights: str, *, rasa: str | None = None, dim: int | None = None) -> Backbone:
    """Load a ViT-g/14, Franca's or DINOv2's; arguments as for `backbone`."""
    return backbone(weights, arch="vit_g14", rasa=rasa, dim=dim)


def _fetch(source: str) -> Path:
    """Return the local file, downloading an address if it is not in torch.hub's folder yet.

    `torch.hub.load_state_dict_from_url` keeps files at the same place, but reads those of torch
    only, and takes all files of one name, such as model.safetensors, for the same.
    """
    address = urlparse(source)
    if address.scheme not in ("http", "https"):
        return Path(source)
    name = f"{hashlib.sha256(source.encode()).hexdigest()[:8]}-{Path(address.path).name}"
    file = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(source, str(file))
    return file
