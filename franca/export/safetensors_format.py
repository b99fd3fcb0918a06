"""One safetensors file with our own names, for `franca.load`; the affine of RASA is in it."""

from pathlib import Path

from torch import Tensor

from franca.api import Backbone, load
from franca.export.format import Format, Reader
from franca.models.vit import VisionTransformer
from franca.models.weights import save_backbone
from franca.rasa.folded_file import save_folded

FILE = "model.safetensors"


def _write(backbone: Backbone, folder: Path) -> None:
    model, metadata = backbone.model, backbone.metadata
    if isinstance(model, VisionTransformer):
        save_backbone(model, folder / FILE, metadata=metadata)
    else:
        save_folded(model, folder / FILE, metadata=metadata)


def _open(folder: Path) -> Reader:
    backbone = load(folder / FILE)

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        features = backbone.forward_features(images)
        return features.cls, features.patches

    return read


SAFETENSORS = Format(
    title="safetensors",
    write=_write,
    open=_open,
    holds_map=True,
    interpolation=lambda model: model.interpolation,
    usage="""import franca

backbone = franca.load("model.safetensors")  # dim=384 keeps the first 384 features
features = backbone.forward_features(images)  # features.cls, features.patches, features.grid
""",
)
