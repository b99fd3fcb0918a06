"""A folder for stock timm: `timm.create_model("local-dir:FOLDER", pretrained=True)`.

timm's DINOv2 entries take every size as an argument, so that config.json names one of them and
gives ours: the giant's for SwiGLU, the base's for plain feed-forwards. No code is needed.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from compat.torchvision_shim import ensure_torchvision
from franca.api import Backbone
from franca.data.collate import IMAGENET_MEAN, IMAGENET_STD
from franca.export.format import Format, Reader, plain_model
from franca.models.archs import Arch, swiglu_hidden
from franca.models.vit import VisionTransformer
from franca.models.weights import save_tensors

_ENTRIES = {"swiglu": "vit_giant_patch14_dinov2", "mlp": "vit_base_patch14_dinov2"}


def rename(state: Mapping[str, Tensor], *, registers: int) -> dict[str, Tensor]:
    """Return the tensors by timm's names.

    Its SwiGLU is packed and gated by the first half, like ours. With registers it has no position
    for CLS, which is added to the token instead; it has no mask token at all.
    """
    new = {
        re.sub(r"\.mlp\.w3\.", ".mlp.fc2.", re.sub(r"\.mlp\.w12\.", ".mlp.fc1.", name)): tensor
        for name, tensor in state.items()
        if name != "mask_token"
    }
    if registers:
        new["reg_token"] = new.pop("register_tokens")
        new["cls_token"] = new["cls_token"] + new["pos_embed"][:, :1]
        new["pos_embed"] = new["pos_embed"][:, 1:]
    return {name: tensor.contiguous() for name, tensor in new.items()}


def mlp_ratio(arch: Arch) -> float:
    """Return the ratio from which timm's int(width * ratio) gives exactly our hidden width.

    Packed, so twice that of SwiGLU: 16/3 for B and g, 5.34375 for L, where timm's own constant for
    the giant, 2.66667 * 2, would give 5461 instead of 5472.
    """
    if arch.ffn == "mlp":
        return 4.0
    packed = 2 * swiglu_hidden(arch.width)
    ratio = packed / arch.width
    return ratio if int(arch.width * ratio) == packed else math.nextafter(ratio, math.inf)


def config(model: VisionTransformer) -> dict[str, Any]:
    """Return config.json."""
    arch, size = model.arch, model.arch.image_size
    return {
        "architecture": _ENTRIES[arch.ffn],
        "num_classes": 0,
        "num_features": arch.width,
        "global_pool": "token",
        "model_args": {
            "img_size": size,
            "patch_size": arch.patch_size,
            "embed_dim": arch.width,
            "depth": arch.depth,
            "num_heads": arch.heads,
            "mlp_ratio": mlp_ratio(arch),
            "num_classes": 0,
            "reg_tokens": model.num_registers,
            "no_embed_class": model.num_registers > 0,
            "dynamic_img_size": True,
        },
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": False,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
            "num_classes": 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }


def _write(backbone: Backbone, folder: Path) -> None:
    model = plain_model(backbone)
    tensors = rename(model.state_dict(), registers=model.num_registers)
    save_tensors(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.dumps(config(model), indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def _open(folder: Path) -> Reader:
    ensure_torchvision()
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        tokens: Tensor = model.forward_features(images)
        return tokens[:, 0], tokens[:, model.num_prefix_tokens :]

    return read


TIMM = Format(
    title="timm",
    write=_write,
    open=_open,
    holds_map=False,
    interpolation=lambda _: "antialias",
    usage="""import timm

model = timm.create_model("local-dir:.", pretrained=True).eval()
tokens = model.forward_features(images)
cls, patches = tokens[:, 0], tokens[:, model.num_prefix_tokens :]
""",
)
