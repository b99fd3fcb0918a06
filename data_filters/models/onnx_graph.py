"""Any ONNX graph whose only input is a batch of images."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from data_filters.io.pixels import Pixels
from data_filters.models.device import Device, onnx_providers
from data_filters.models.network import Network, Prepared, Vectors
from data_filters.models.weights import reading


class OnnxGraph(Network):
    """A graph, and what its author did to images before it saw them.

    Args:
        weights: The .onnx file.
        size: Side of the square it sees, pixels.
        resize: Shorter side before the centre is cut out, pixels.
        mean: Subtracted from the channels, of 0 to 255, in the order of `channels`.
        std: Divides them afterwards.
        channels: Order of the channels.
        layout: Order of the axes.
        output: Name of the output wanted: [images, dim], or dim times ones.
        device: Where ONNX Runtime runs it.

    Raises:
        ModuleNotFoundError: ONNX Runtime is not installed; says how to.
        ValueError: Not an ONNX graph, one with several inputs, or without that output.
    """

    def __init__(
        self,
        *,
        weights: Path,
        size: int,
        resize: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        channels: Literal["rgb", "bgr"],
        layout: Literal["nchw", "nhwc"],
        output: str,
        device: Device,
    ) -> None:
        self._size, self._resize = size, resize
        self._mean, self._std = (np.array(three, np.float32) for three in (mean, std))
        self._channels, self._layout = channels, layout
        self._session, self._input = _open(weights, output=output, device=device)
        self._output = output

    def prepare(self, pixels: Pixels) -> Prepared:
        """Resize (bilinear, antialiased), cut out the centre, normalise."""
        image = Image.fromarray(pixels)
        scale = self._resize / min(image.size)
        width, height = (max(self._resize, round(scale * side)) for side in image.size)
        left, top = (width - self._size) // 2, (height - self._size) // 2
        square = image.resize((width, height), Image.Resampling.BILINEAR).crop(
            (left, top, left + self._size, top + self._size)
        )
        levels = np.asarray(square, dtype=np.float32)
        ordered = levels if self._channels == "rgb" else levels[..., ::-1]
        normal = (ordered - self._mean) / self._std
        return np.ascontiguousarray(normal if self._layout == "nhwc" else normal.transpose(2, 0, 1))

    def forward(self, batch: Prepared) -> Vectors:
        """Return the named output, flattened to [images, dim]."""
        (values,) = self._session.run([self._output], {self._input: batch})
        return np.asarray(values, dtype=np.float32).reshape(len(batch), -1)


def _open(weights: Path, *, output: str, device: Device) -> tuple[Any, str]:
    """Open a session on one thread: what runs in parallel is shards, in processes of their own."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{weights}: ONNX graphs need ONNX Runtime: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = onnx_providers(device)
    with reading(weights, of="an ONNX graph"):
        session = onnxruntime.InferenceSession(weights, sess_options=options, providers=providers)
    inputs = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    if len(inputs) != 1 or output not in outputs:
        raise ValueError(
            f"{weights}: inputs {', '.join(inputs)}, outputs {', '.join(outputs)}; expected one "
            f"input and an output {output!r}"
        )
    return session, inputs[0]
