"""A folder for Hugging Face transformers: `AutoModel.from_pretrained(FOLDER)`, no remote code.

`Dinov2Model` hosts Franca as it is, SwiGLU at every size included; `Dinov2WithRegistersModel` the
models with registers. The names are those of transformers 5 in memory; on disk `save_pretrained`
keeps to the hub's, which transformers 4 reads as well.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from compat.torchvision_shim import ensure_torchvision
from franca.api import Backbone
from franca.data.collate import IMAGENET_MEAN, IMAGENET_STD
from franca.export.format import Format, Reader, import_extra, plain_model
from franca.models.vit import VisionTransformer

_NAMES = {
    r"^(cls_token|mask_token|register_tokens)$": r"embeddings.\1",
    r"^pos_embed$": "embeddings.position_embeddings",
    r"^patch_embed\.proj\.": "embeddings.patch_embeddings.projection.",
    r"^norm\.": "layernorm.",
    r"^blocks\.(\d+)\.attn\.proj\.": r"encoder.layer.\1.attention.o_proj.",
    r"^blocks\.(\d+)\.ls(\d)\.gamma$": r"encoder.layer.\1.layer_scale\2.lambda1",
    r"^blocks\.(\d+)\.mlp\.w3\.": r"encoder.layer.\1.mlp.down_proj.",
    r"^blocks\.(\d+)\.": r"encoder.layer.\1.",
}
_PARTS = {
    "attn.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "mlp.w12": ("mlp.gate_proj", "mlp.up_proj"),
}


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by the names of transformers 5, which keeps no matrices packed."""
    new: dict[str, Tensor] = {}
    for name, tensor in state.items():
        packed = next((old for old in _PARTS if f".{old}." in name), None)
        names = [name.replace(packed, part) for part in _PARTS[packed]] if packed else [name]
        for part_name, part in zip(names, tensor.chunk(len(names)), strict=True):
            new[_rename_one(part_name)] = part.contiguous() if packed else tensor
    return new


def _rename_one(name: str) -> str:
    pattern = next(pattern for pattern in _NAMES if re.match(pattern, name))
    return re.sub(pattern, _NAMES[pattern], name)


def config_arguments(model: VisionTransformer) -> dict[str, Any]:
    """Return the arguments of `Dinov2Config`, or of the one with registers."""
    arch = model.arch
    registers = {"num_register_tokens": model.num_registers} if model.num_registers else {}
    return {
        "hidden_size": arch.width,
        "num_hidden_layers": arch.depth,
        "num_attention_heads": arch.heads,
        "mlp_ratio": 4,
        "use_swiglu_ffn": arch.ffn == "swiglu",
        "image_size": arch.image_size,
        "patch_size": arch.patch_size,
        "layer_norm_eps": 1e-6,
        **registers,
    }


def processor_config(size: int) -> dict[str, Any]:
    """Return preprocessor_config.json: a square of the model's own image size, normalised."""
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(IMAGENET_MEAN),
        "image_std": list(IMAGENET_STD),
    }


def _import_transformers() -> ModuleType:
    ensure_torchvision()  # which transformers imports if it is there
    return import_extra("transformers")


def _write(backbone: Backbone, folder: Path) -> None:
    transformers = _import_transformers()
    model = plain_model(backbone)
    name = "Dinov2WithRegisters" if model.num_registers else "Dinov2"
    config = getattr(transformers, f"{name}Config")(**config_arguments(model))
    with torch.device("meta"):
        hosted = getattr(transformers, f"{name}Model")(config)
    hosted.load_state_dict(rename(model.state_dict()), assign=True)
    hosted.save_pretrained(folder)
    text = json.dumps(processor_config(model.arch.image_size), indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")


def _open(folder: Path) -> Reader:
    model = _import_transformers().AutoModel.from_pretrained(folder, local_files_only=True)
    model.eval()
    prefix = 1 + getattr(model.config, "num_register_tokens", 0)

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        tokens: Tensor = model(images).last_hidden_state
        return tokens[:, 0], tokens[:, prefix:]

    return read


HUGGINGFACE = Format(
    title="Hugging Face transformers",
    write=_write,
    open=_open,
    holds_map=False,
    # Without registers, transformers interpolates bicubically to the exact size without
    # antialiasing, which is neither of our laws.
    interpolation=lambda model: "antialias" if model.num_registers else None,
    usage="""from transformers import AutoModel

model = AutoModel.from_pretrained(".").eval()
tokens = model(images).last_hidden_state
prefix = 1 + getattr(model.config, "num_register_tokens", 0)
cls, patches = tokens[:, 0], tokens[:, prefix:]
""",
)
