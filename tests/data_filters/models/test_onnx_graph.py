"""ONNX graphs."""

from pathlib import Path

import numpy as np
import pytest

from data_filters.models.onnx_graph import OnnxGraph


def graph(tiny_onnx, **changes):
    wanted = {
        key: value for key, value in tiny_onnx.items() if key not in {"kind", "sha256", "file"}
    }
    return OnnxGraph(**{"weights": Path(tiny_onnx["file"]), **wanted, "device": "cpu", **changes})


def test_what_the_graph_sees_is_the_centre_scaled_and_ordered(tiny_onnx):
    pixels = np.zeros((16, 60, 3), np.uint8)
    pixels[:, 22:38] = (255, 51, 0)  # exactly the square of 16 in the middle, at scale one
    rgb = graph(tiny_onnx)
    assert rgb.prepare(pixels).shape == (3, 16, 16)
    batch = np.stack([rgb.prepare(pixels), rgb.prepare(pixels[:, ::-1])])
    assert rgb.forward(batch) == pytest.approx(np.array([[1.0, 0.2, 0.0]] * 2))
    turned = graph(tiny_onnx, channels="bgr", mean=(0.0, 51.0, 0.0))
    assert turned.forward(turned.prepare(pixels)[None]) == pytest.approx(np.array([[0, 0, 1.0]]))
    wide = graph(tiny_onnx, resize=32).prepare(pixels)
    assert wide.mean(axis=(1, 2)) == pytest.approx([1.0, 0.2, 0.0])  # magnified, then cut out
    assert graph(tiny_onnx, layout="nhwc").prepare(pixels).shape == (16, 16, 3)


def test_mistakes(tiny_onnx, damaged):
    with pytest.raises(ValueError, match="outputs output; expected one input and an output 'x'"):
        graph(tiny_onnx, output="x")
    for file in damaged(Path(tiny_onnx["file"])):
        with pytest.raises(ValueError, match=rf"{file.name}: not readable as an ONNX graph"):
            graph(tiny_onnx, weights=file)
