"""From the parameters of a network to the network, its weights checked against their digest."""

from functools import lru_cache
from pathlib import Path

from data_filters.config_models import Device, Onnx, OpenClip, PinnedFile, Timm
from data_filters.io.files import check_digest
from data_filters.models.device import torch_device
from data_filters.models.network import Network


def pinned(file: PinnedFile, *, key: str) -> Path:
    """Return the path of a file that the parameters name, once its digest is right."""
    return check_digest(Path(file.file), file.sha256, key=key)


def build_network(
    cfg: OpenClip | Timm | Onnx, *, device: Device, batch_size: int, key: str
) -> Network:
    """Load a network.

    Args:
        cfg: Which one.
        device: Where it runs.
        batch_size: Items per batch.
        key: Name of the parameter, for errors.

    Raises:
        FileNotFoundError: Its file is not there.
        ValueError: Its file is another one than the parameters say, or not of this network.
    """
    pinned(cfg, key=key)
    return _load(cfg, device=device, batch_size=batch_size)


@lru_cache(maxsize=8)  # scorers may share one, and a process works through many shards
def _load(cfg: OpenClip | Timm | Onnx, *, device: Device, batch_size: int) -> Network:
    weights = Path(cfg.file)
    if isinstance(cfg, OpenClip):
        from data_filters.models.clip import Clip  # seconds, which only its users pay

        where = torch_device(device)
        return Clip(model=cfg.model, weights=weights, device=where, batch_size=batch_size)
    if isinstance(cfg, Timm):
        from data_filters.models.timm_backbone import TimmBackbone

        return TimmBackbone(model=cfg.model, weights=weights, device=torch_device(device))
    from data_filters.models.onnx_graph import OnnxGraph

    return OnnxGraph(
        weights=weights,
        size=cfg.size,
        resize=cfg.resize,
        mean=cfg.mean,
        std=cfg.std,
        channels=cfg.channels,
        layout=cfg.layout,
        output=cfg.output,
        device=device,
    )
