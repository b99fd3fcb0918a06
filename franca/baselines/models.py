"""One door to every model that can be evaluated, named by a short specification.

    franca:FILE        a checkpoint or export of this pipeline, or a released Franca or DINOv2 file
    timm:NAME          a plain ViT of timm
    open_clip:NAME     the vision tower of an open_clip model
    random:ARCH        an architecture of `franca.models.archs`, untrained

timm and open_clip take their weights from a local file, and are randomly initialised without one.
"""

import hashlib
from pathlib import Path

import torch
from torch import nn

from franca.api import load
from franca.baselines.open_clip_tower import open_open_clip
from franca.baselines.timm_vit import open_timm
from franca.eval.features import digest_files
from franca.eval.models import FeatureModel
from franca.models.vit import build_vit
from franca.randomness import derive_seed, generator

_FAMILIES = ("franca", "timm", "open_clip", "random")
_SEED = 0  # an untrained reference is the same model whatever the seed of the run


def open_model(
    spec: str, *, weights: Path | None = None, device: torch.device
) -> tuple[FeatureModel, str]:
    """Open a model for evaluation.

    Args:
        spec: see above.
        weights: local file of a timm or open_clip model; None: random weights, always the same.
        device: where to put the model.

    Returns:
        The model in evaluation mode, and a digest of everything that its features depend on.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an unknown family or model, or weights that do not fit.
    """
    family, _, name = spec.partition(":")
    if family not in _FAMILIES or not name:
        raise ValueError(f"model {spec!r}: write FAMILY:NAME, with one of {', '.join(_FAMILIES)}")
    if weights is not None and family not in ("timm", "open_clip"):
        raise ValueError(f"model {spec!r}: takes no separate weights")
    if weights is not None and not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such file; give the weights of {spec}")
    if family == "franca":
        ours = load(name).model
        return ours.to(device), digest_files(Path(name))
    model = _build(family, name, weights)
    model.requires_grad_(requires_grad=False)
    digest = _digest(spec, model)
    opened = model.eval().to(device)
    assert isinstance(opened, FeatureModel)
    return opened, digest


def _build(family: str, name: str, weights: Path | None) -> nn.Module:
    # Layers, timm and open_clip draw from the global generator, which is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(_SEED, "baselines/random"))
        if family == "timm":
            return open_timm(name, weights=weights)
        if family == "open_clip":
            return open_open_clip(name, weights=weights)
        return build_vit(name, generator=generator(_SEED, "baselines/random"))


def _digest(spec: str, model: nn.Module) -> str:
    """Return a hash of the name and of every tensor, the normalisation constants among them."""
    whole = hashlib.sha256(spec.encode())
    for name, tensor in model.state_dict().items():
        whole.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        whole.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()
