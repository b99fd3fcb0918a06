"""What the export asks of a format."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import Tensor

from franca.api import Backbone
from franca.models.pos_embed import Interpolation
from franca.models.vit import VisionTransformer

Reader = Callable[[Tensor], tuple[Tensor, Tensor]]
"""ImageNet-normalised images to CLS [batch, dim] and patches [batch, patches, dim]."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        title: its name in prose.
        write: writes the files of a backbone into a folder.
        open: reads them again by the means that their users have.
        holds_map: whether patch tokens can have an affine of their own, and so leave corrected.
        interpolation: the law by which it resizes the positions of a model, if it is one of ours.
        usage: Python that loads the folder, run from within it.
    """

    title: str
    write: Callable[[Backbone, Path], None]
    open: Callable[[Path], Reader]
    holds_map: bool
    interpolation: Callable[[VisionTransformer], Interpolation | None]
    usage: str


def plain_model(backbone: Backbone) -> VisionTransformer:
    """Return the vision transformer without the affine of a map."""
    model = backbone.model
    return model if isinstance(model, VisionTransformer) else model.model


def import_extra(name: str) -> ModuleType:
    """Import a package of the optional extra `export`.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed: pip install 'franca-pipeline[export]'"
        ) from error
