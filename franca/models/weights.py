"""Weights in and out: our own safetensors files, and the layouts that others released."""

import dataclasses
import json
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
from franca.models.torch_file import read_torch
from franca.models.vit import VisionTransformer

_HEADER_KEY = "franca"


def save_backbone(model: VisionTransformer, path: Path, *, metadata: Mapping[str, Any]) -> None:
    """Write a model to one safetensors file whose bytes depend on nothing else.

    Args:
        model: its parameters are written in the precision they have.
        path: the file.
        metadata: JSON-able facts of the caller, stored beside the model's own settings.
    """
    write_tensors(model.state_dict(), path, header={**metadata, "model": model.settings})


def load_backbone(path: Path) -> tuple[VisionTransformer, dict[str, Any]]:
    """Read a file of `save_backbone`: the model in evaluation mode, and the whole metadata.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, not ours, or does not hold exactly the model's tensors.
    """
    require_file(path, remedy="run the stage that writes it")
    header = read_header(path)
    if header is None:
        raise ValueError(
            f"{path}: no {_HEADER_KEY!r} entry in the header; other layouts go through "
            "franca.models.weights.import_released"
        )
    return backbone_from(read_tensors(path), header, source=str(path)), header


def backbone_from(
    state: Mapping[str, Tensor], header: Mapping[str, Any], *, source: str
) -> VisionTransformer:
    """Build the model that a header describes, in evaluation mode; the tensors become its own.

    Args:
        state: the tensors of a file of `save_backbone`.
        header: its metadata.
        source: name of the file, for messages.

    Raises:
        ValueError: if the header describes no model, or the tensors are not exactly the model's.
    """
    if "model" not in header:
        raise ValueError(f"{source}: holds no model, but {_listed(sorted(state))}")
    fields = {field.name for field in dataclasses.fields(Arch)} - {"name"}
    try:
        settings = dict(header["model"])
        arch = Arch(name=settings.pop("arch"), **{name: settings.pop(name) for name in fields})
        with torch.device("meta"):
            model = VisionTransformer(arch=arch, **settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{source}: its header describes no model of this version ({type(error).__name__}: "
            f"{error}); load it with the version that wrote it, or write it again"
        ) from error
    _assign_strictly(model, state, source=source)
    return model.eval()


def write_tensors(tensors: Mapping[str, Tensor], path: Path, *, header: Mapping[str, Any]) -> None:
    """Write one of our safetensors files, whose bytes depend on nothing else."""
    save_tensors(tensors, path, metadata={_HEADER_KEY: json.dumps(header, sort_keys=True)})


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, *, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises:
        OSError: it cannot be written; what is there is no whole file.
    """
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:  # which is what a full disk raises
        raise OSError(
            f"{path} cannot be written ({error}): make room, then start again; finished files stay"
        ) from error


def read_header(path: Path) -> dict[str, Any] | None:
    """Read the metadata of one of our safetensors files; None for those of others.

    Raises:
        ValueError: if the file is damaged.
    """
    with _open_safetensors(path) as file:
        text = (file.metadata() or {}).get(_HEADER_KEY)
    if text is None:
        return None
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: the entry {_HEADER_KEY!r} of its header is no table ({error}); write it again"
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a safetensors file.

    Raises:
        ValueError: if the file is damaged.
    """
    with _open_safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def require_file(path: Path, *, remedy: str) -> None:
    """Check that there is a file.

    Raises:
        FileNotFoundError: there is none, or a folder.
    """
    if path.is_dir():
        raise FileNotFoundError(f"{path}: is a folder; name the file of weights in it")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {remedy}")


def is_safetensors(path: Path) -> bool:
    """Tell a safetensors file from one of torch by its bytes: eight of length, then JSON."""
    with path.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def _open_safetensors(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(
            f"{path}: damaged safetensors file ({error}); write or download it again"
        ) from error


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
    arch: str | Arch | None = None,
    *,
    interpolation: Interpolation | None = None,
) -> Imported:
    """Read a released Franca or DINOv2 checkpoint.

    Understands a state dict under `teacher` or at the top, `module.` and `backbone.` prefixes,
    blocks named `blocks.<chunk>.<block>`, the grids of 224 and 518 pixels, register tokens.

    Args:
        source: a file of torch or safetensors, or what is in it, whose tensors then become the
            model's own.
        arch: row of `ARCHS`, or sizes of your own, whose `image_size` is replaced by the file's;
            by default the row that has the file's sizes.
        interpolation: law of the positions; by default the one that released models of this kind
            were trained with: `antialias` with registers, `franca` without.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read, or does not hold exactly the tensors of `arch`.
    """
    name = str(source) if isinstance(source, Path) else "state dict"
    content = _read_released(source) if isinstance(source, Path) else source
    backbone, heads, rasa = _take_apart(content, source=name)
    model = _empty_model(backbone, arch, interpolation=interpolation, source=name)
    _assign_strictly(model, backbone, source=name)
    return Imported(model=model.eval(), heads=heads, rasa=rasa)


def released_rasa(path: Path) -> dict[str, Tensor]:
    """Read the position heads of RASA in a released file, with or without a backbone beside them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read.
    """
    return _take_apart(_read_released(path), source=str(path))[2]


def _read_released(path: Path) -> Any:
    require_file(path, remedy="download the released checkpoint first")
    return read_tensors(path) if is_safetensors(path) else read_torch(path)


def _take_apart(
    content: Any, *, source: str
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of the backbone by our names, of projection heads, of RASA's heads."""
    state = content.get("teacher", content) if isinstance(content, Mapping) else content
    _require_tensors(state, source=source)
    backbone: dict[str, Tensor] = {}
    heads: dict[str, Tensor] = {}
    rasa: dict[str, Tensor] = {}
    for key, tensor in state.items():
        plain = re.sub(r"^(module\.|backbone\.)+", "", key)
        if plain != key and plain in state:
            raise ValueError(f"{source}: holds {plain} as {key}, too: leave one of them out")
        if re.match(r"(dino|ibot)_head\.", plain):
            heads[plain] = tensor
        elif re.match(r"rasa_head\.|pre_pos_layers\.|pos_pred\.", plain):
            rasa[plain] = tensor
        else:
            backbone[re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", plain)] = tensor
    return backbone, heads, rasa


def _require_tensors(state: Any, *, source: str) -> None:
    remedy = "give the state dict itself, at the top or under 'teacher'"
    if not isinstance(state, Mapping):
        kind = type(state).__name__
        raise ValueError(f"{source}: holds a {kind}, not tensors by name: {remedy}")
    for key, value in state.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise ValueError(f"{source}: {key!r} is no name of a tensor: {remedy}")


def _empty_model(
    state: Mapping[str, Tensor],
    arch: str | Arch | None,
    *,
    interpolation: Interpolation | None,
    source: str,
) -> VisionTransformer:
    """Build the model on the meta device, with the grid and the registers that the file has."""
    if isinstance(arch, str) and arch not in ARCHS:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(ARCHS)}")
    if "pos_embed" not in state:
        raise ValueError(
            f"{source}: no 'pos_embed', so no backbone; found {_listed(sorted(state), limit=3)}: "
            "give a released file, or of a training one of its checkpoints/"
        )
    if arch is None:
        arch = _recognise(state, source=source)
    row = ARCHS[arch] if isinstance(arch, str) else arch
    side = round((_num_tokens(state, "pos_embed", least=2, source=source) - 1) ** 0.5)
    registers = (
        _num_tokens(state, "register_tokens", least=1, source=source)
        if "register_tokens" in state
        else 0
    )
    with torch.device("meta"):
        return VisionTransformer(
            arch=dataclasses.replace(row, image_size=side * row.patch_size),
            registers=registers,
            interpolation=interpolation or ("antialias" if registers else "franca"),
        )


def _num_tokens(state: Mapping[str, Tensor], name: str, *, least: int, source: str) -> int:
    shape = tuple(state[name].shape)
    if len(shape) != 3 or shape[1] < least:
        raise ValueError(f"{source}: {name} {shape} is not [1, tokens, width]: get the file again")
    return shape[1]


def _recognise(state: Mapping[str, Tensor], *, source: str) -> str:
    """Return the row of `ARCHS` that has the width, depth and feed-forward of the tensors."""
    width = state["pos_embed"].shape[-1]
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    ffn = "swiglu" if any(".mlp.w12." in key for key in state) else "mlp"
    for name, row in ARCHS.items():
        if (row.width, row.depth, row.ffn) == (width, depth, ffn):
            return name
    raise ValueError(
        f"{source}: {depth} blocks of width {width} with {ffn} are none of {', '.join(ARCHS)}: "
        "name the architecture (arch=...)"
    )


def mismatch(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say which tensors are missing, unknown, of another shape or integers; nothing if all fit."""
    both = sorted(wanted.keys() & found.keys())
    wrong_shape = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in both
        if found[name].shape != wanted[name].shape
    ]
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unknown": sorted(found.keys() - wanted.keys()),
        "of another shape": wrong_shape,
        "not floating-point": [
            name
            for name in both
            if wanted[name].is_floating_point() and not found[name].is_floating_point()
        ],
    }
    return "; ".join(f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys)


def _assign_strictly(model: VisionTransformer, state: Mapping[str, Tensor], *, source: str) -> None:
    """Let the parameters of a model on the meta device be the given tensors, all of them."""
    text = mismatch(model.state_dict(), state)
    if text:
        raise ValueError(
            f"{source}: tensors do not fit {model.arch.name} ({text}): "
            "get the whole file of this architecture, or name the one it holds (arch=...)"
        )
    model.load_state_dict(state, assign=True)


def _listed(keys: list[str], *, limit: int = 8) -> str:
    """Join the first keys, and say how many more there are."""
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more
