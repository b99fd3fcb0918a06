"""A folded backbone as one safetensors file: the backbone's tensors and the patches' dense affine.

    patch_affine.weight [D, D], patch_affine.bias [D]     z' = n W' + b, n the normalised stream
    norm.weight, norm.bias and all others                 as in a file of `save_backbone`

The header has the model's settings and, under "rasa", how the map came about.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from franca.models.weights import backbone_from, read_header, read_tensors, write_tensors
from franca.rasa.fold import FoldedBackbone
from franca.rasa.linear_map import identity_map

_WEIGHT, _BIAS, _RASA = "patch_affine.weight", "patch_affine.bias", "rasa"


def save_folded(folded: FoldedBackbone, path: Path, *, metadata: Mapping[str, Any]) -> None:
    """Write a folded backbone to one file whose bytes depend on nothing else.

    Args:
        folded: its tensors are written in the precision they have.
        path: the file.
        metadata: JSON-able facts about the backbone and, under "rasa", about the map.
    """
    tensors = {**folded.model.state_dict(), _WEIGHT: folded.weight, _BIAS: folded.bias}
    write_tensors(tensors, path, header={_RASA: {}, **metadata, "model": folded.model.settings})


def is_folded(header: Mapping[str, Any]) -> bool:
    """Tell by its header whether one of our files holds a folded backbone."""
    return _RASA in header


def load_folded(path: Path) -> tuple[FoldedBackbone, dict[str, Any]]:
    """Read a file of `save_folded`: the model in evaluation mode, and the whole metadata.

    Raises:
        ValueError: if the file is damaged, or does not hold exactly the tensors.
    """
    header, state = read_header(path) or {}, read_tensors(path)
    affine = {name: state.pop(name) for name in (_WEIGHT, _BIAS) if name in state}
    model = backbone_from(state, header, source=str(path))
    dim = model.embed_dim
    found = {name: tuple(part.shape) for name, part in affine.items()}
    if found != {_WEIGHT: (dim, dim), _BIAS: (dim,)}:
        raise ValueError(
            f"{path}: the affine of patches is {found or 'missing'}, but a model of {dim} channels "
            f"needs {_WEIGHT} and {_BIAS} of that size: export it again"
        )
    folded = FoldedBackbone(model, identity_map(dim))
    folded.weight, folded.bias = affine[_WEIGHT], affine[_BIAS]
    return folded.eval(), header
