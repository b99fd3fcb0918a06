"""Weights in and out: our own safetensors files, and the layouts that others released."""

import dataclasses
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from franca.models.archs import ARCHS, Arch
from franca.models.pos_embed import Interpolation
from franca.models.vit import VisionTransformer

_HEADER_KEY = "franca"


def save_backbone(model: VisionTransformer, path: Path, *, metadata: Mapping[str, Any]) -> None:
    """Write a model to one safetensors file whose bytes depend on nothing else.

    Args:
        model: its parameters are written in the precision they have.
        path: the file.
        metadata: JSON-able facts of the caller, stored beside the model's own settings.
    """
    header = json.dumps({**metadata, "model": model.settings}, sort_keys=True)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, path, metadata={_HEADER_KEY: header})


def load_backbone(path: Path) -> tuple[VisionTransformer, dict[str, Any]]:
    """Read a file of `save_backbone`: the model in evaluation mode, and the whole metadata.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, not ours, or does not hold exactly the model's tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; run the stage that writes it")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_HEADER_KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged safetensors file ({error}); write it again") from error
    if header is None:
        raise ValueError(
            f"{path}: no {_HEADER_KEY!r} entry in the header; other layouts go through "
            "franca.models.weights.import_released"
        )
    metadata: dict[str, Any] = json.loads(header)
    settings = dict(metadata["model"])
    fields = {field.name for field in dataclasses.fields(Arch)} - {"name"}
    arch = Arch(name=settings.pop("arch"), **{name: settings.pop(name) for name in fields})
    with torch.device("meta"):
        model = VisionTransformer(arch=arch, **settings)
    _assign_strictly(model, state, source=str(path))
    return model.eval(), metadata


@dataclass(frozen=True)
class Imported:
    """A released file, taken apart.

    Args:
        model: the backbone, in evaluation mode.
        heads: tensors of projection heads, by their names in the file.
        rasa: tensors of the position heads of RASA, by their names in the file.
    """

    model: VisionTransformer
    heads: dict[str, Tensor]
    rasa: dict[str, Tensor]


def import_released(
    source: Path | Mapping[str, Any],
    arch: str | Arch,
    *,
    interpolation: Interpolation = "franca",
) -> Imported:
    """Read a released Franca or DINOv2 checkpoint.

    Understands a state dict under `teacher` or at the top, `module.` and `backbone.` prefixes,
    blocks named `blocks.<chunk>.<block>`, the grids of 224 and 518 pixels, register tokens.

    Args:
        source: a file of torch, or what is in it, whose tensors then become the model's own.
        arch: row of `ARCHS`, or sizes of your own; its `image_size` is replaced by the file's.
        interpolation: law of the positions; the released Franca models were trained with `franca`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read, or does not hold exactly the tensors of `arch`.
    """
    content = _read_torch(source) if isinstance(source, Path) else source
    name = str(source) if isinstance(source, Path) else "state dict"
    backbone: dict[str, Tensor] = {}
    heads: dict[str, Tensor] = {}
    rasa: dict[str, Tensor] = {}
    for key, tensor in content.get("teacher", content).items():
        plain = re.sub(r"^(module\.|backbone\.)+", "", key)
        if re.match(r"(dino|ibot)_head\.", plain):
            heads[plain] = tensor
        elif re.match(r"rasa_head\.|pre_pos_layers\.|pos_pred\.", plain):
            rasa[plain] = tensor
        else:
            backbone[re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", plain)] = tensor
    model = _empty_model(backbone, arch, interpolation=interpolation, source=name)
    _assign_strictly(model, backbone, source=name)
    return Imported(model=model.eval(), heads=heads, rasa=rasa)


def _read_torch(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; download the released checkpoint first")
    try:
        content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or ["empty file"])[0]
        raise ValueError(f"{path}: not a readable file of weights ({reason})") from error
    return content


def _empty_model(
    state: Mapping[str, Tensor], arch: str | Arch, *, interpolation: Interpolation, source: str
) -> VisionTransformer:
    """Build the model on the meta device, with the grid and the registers that the file has."""
    if isinstance(arch, str) and arch not in ARCHS:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(ARCHS)}")
    row = ARCHS[arch] if isinstance(arch, str) else arch
    if "pos_embed" not in state:
        raise ValueError(f"{source}: no 'pos_embed'; found {_listed(sorted(state))}")
    side = round((state["pos_embed"].shape[1] - 1) ** 0.5)
    registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    with torch.device("meta"):
        return VisionTransformer(
            arch=dataclasses.replace(row, image_size=side * row.patch_size),
            registers=registers,
            interpolation=interpolation,
        )


def _assign_strictly(model: VisionTransformer, state: Mapping[str, Tensor], *, source: str) -> None:
    """Let the parameters of a model on the meta device be the given tensors, all of them."""
    wanted = model.state_dict()
    wrong_shape = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & state.keys())
        if state[name].shape != wanted[name].shape
    ]
    problems = {
        "missing": sorted(wanted.keys() - state.keys()),
        "unknown": sorted(state.keys() - wanted.keys()),
        "of another shape": wrong_shape,
    }
    if any(problems.values()):
        text = "; ".join(f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys)
        raise ValueError(f"{source}: tensors do not fit {model.arch.name} ({text})")
    model.load_state_dict(state, assign=True)


def _listed(keys: list[str], *, limit: int = 8) -> str:
    """Join the first keys, and say how many more there are."""
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more
