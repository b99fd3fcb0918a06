"""Where networks run."""

import pytest
import torch

from data_filters.models.device import onnx_providers, torch_device


def test_auto_is_a_gpu_where_there_is_one():
    assert torch_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert torch_device("cpu") == "cpu"


def test_onnx_runtime_always_has_the_cpu_to_fall_back_to():
    pytest.importorskip("onnxruntime")
    assert onnx_providers("cpu") == ["CPUExecutionProvider"]
    assert onnx_providers("auto")[-1] == "CPUExecutionProvider"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_no_silent_cpu():
    with pytest.raises(ValueError, match="torch sees no GPU"):
        torch_device("cuda")
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="ONNX Runtime has no CUDA"):
        onnx_providers("cuda")
