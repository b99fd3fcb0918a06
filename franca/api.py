"""What `import franca` offers: a file of weights in, a backbone ready for use out.

`franca.load` is this module's `load`, imported on first use, so that `import franca` costs nothing.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from franca.models.archs import Arch
from franca.models.vit import Features, VisionTransformer
from franca.models.weights import (
    import_released,
    is_safetensors,
    load_backbone,
    read_header,
    read_tensors,
    released_rasa,
    require_file,
)
from franca.rasa.fold import FoldedBackbone
from franca.rasa.folded_file import is_folded, load_folded
from franca.rasa.head import plane_of, released_weights
from franca.rasa.linear_map import LinearMap, compose_planes, load_map


class Backbone(nn.Module):
    """A backbone ready for use: patches corrected if a map is folded in, features truncated.

    Args:
        model: the whole model, with all its features.
        dim: number of features kept, the first ones: the Matryoshka levels are nested that way.
        metadata: what the file says about itself.

    Raises:
        ValueError: if there are no `dim` features.
    """

    def __init__(
        self,
        model: VisionTransformer | FoldedBackbone,
        *,
        dim: int | None,
        metadata: Mapping[str, Any],
    ) -> None:
        super().__init__()
        if dim is not None and not 1 <= dim <= model.embed_dim:
            raise ValueError(f"dim is {dim}, but the model has 1 to {model.embed_dim} features")
        self.model = model
        self.embed_dim = dim or model.embed_dim
        self.patch_size = model.patch_size
        self.metadata = dict(metadata)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """Return the CLS feature, as the models of DINOv2's torch hub do."""
        return self.forward_features(images).cls

    def forward_features(self, images: Float[Tensor, "batch 3 height width"]) -> Features:
        """Return the features of images of one size.

        Args:
            images: ImageNet-normalised; sides are multiples of the patch size.

        Raises:
            ValueError: if a side of the images is not a multiple of the patch size.
        """
        features, dim = self.model.forward_features(images), self.embed_dim
        return dataclasses.replace(
            features,
            cls=features.cls[..., :dim],
            patches=features.patches[..., :dim],
            registers=features.registers[..., :dim],
        )


def load(
    source: str | Path,
    *,
    arch: str | Arch | None = None,
    rasa: str | Path | None = None,
    dim: int | None = None,
) -> Backbone:
    """Load a backbone from a local file, in evaluation mode.

    Args:
        source: a checkpoint or an export of this pipeline, or a released Franca or DINOv2 file
            (.pth or .safetensors).
        arch: row of `franca.models.archs.ARCHS` that the file must hold; by default recognised.
            Sizes of your own are for released files only.
        rasa: file of the map that corrects patch tokens: `map.safetensors` of the stage rasa, or a
            released file with RASA heads in it, which may be `source` itself.
        dim: keep the first `dim` features of every token.

    Raises:
        FileNotFoundError: if there is no such file; addresses are not fetched (hubconf.py does).
        ValueError: if a file cannot be read, or the parts do not fit each other.
    """
    if str(source).startswith(("http://", "https://")):
        raise FileNotFoundError(
            f"{source}: addresses are not fetched here; download the file, or use hubconf.py"
        )
    model, metadata = _read_model(Path(source), arch)
    if rasa is not None:
        if isinstance(model, FoldedBackbone):
            raise ValueError(f"{source}: its patch tokens are corrected already: leave out rasa")
        linear_map = read_map(Path(rasa))
        model = FoldedBackbone(model, linear_map)
        metadata = {**metadata, "rasa": dict(linear_map.metadata)}
    return Backbone(model, dim=dim, metadata=metadata).eval()


def read_map(path: Path) -> LinearMap:
    """Read the map of a stage rasa, or compose it from released RASA heads.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds neither.
    """
    require_file(path, remedy="give the map.safetensors of the stage rasa")
    if is_safetensors(path) and "A" in read_tensors(path):
        return load_map(path)
    heads = released_rasa(path)
    if not heads:
        raise ValueError(
            f"{path}: no map and no RASA heads in it: give map.safetensors of the stage rasa, or a "
            "released file with `rasa` in its name"
        )
    planes = [plane_of(weight) for weight in released_weights(heads)]
    return compose_planes(planes, metadata={"released_file": path.name})


def _read_model(
    path: Path, arch: str | Arch | None
) -> tuple[VisionTransformer | FoldedBackbone, dict[str, Any]]:
    require_file(path, remedy="give a checkpoint of this pipeline or a downloaded release")
    header = read_header(path) if is_safetensors(path) else None
    if header is None:
        released = import_released(path, arch).model
        return released, {"released_file": path.name, "model": released.settings}
    model, metadata = load_folded(path) if is_folded(header) else load_backbone(path)
    found = metadata["model"]["arch"]
    if arch is not None and arch != found:
        raise ValueError(f"{path}: holds {found}, but {arch} was asked for")
    return model, metadata
