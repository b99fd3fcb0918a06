"""Where networks run."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]


def torch_device(device: Device) -> str:
    """Return the device that torch is to use; `auto` is a GPU where there is one.

    Raises:
        ValueError: CUDA is asked for and not there.
    """
    import torch  # a second that filters without a network need not pay

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError("device is cuda, but torch sees no GPU here: set it to auto or cpu")
    return "cuda" if available and device != "cpu" else "cpu"


def onnx_providers(device: Device) -> list[str]:
    """Return what ONNX Runtime is to use, best first.

    Raises:
        ValueError: CUDA is asked for and not there.
    """
    import onnxruntime

    cuda = "CUDAExecutionProvider"
    available = cuda in onnxruntime.get_available_providers()
    if device == "cuda" and not available:
        raise ValueError(
            "device is cuda, but this ONNX Runtime has no CUDA: install onnxruntime-gpu, or set it "
            "to auto or cpu"
        )
    first = [cuda] if available and device != "cpu" else []
    return [*first, "CPUExecutionProvider"]
