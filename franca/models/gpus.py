"""GPUs and their published peaks, without torch."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU.

    Attributes:
        name: as its maker writes it.
        peak: bf16 operations per second, dense.
        memory: bytes.
    """

    name: str
    peak: float
    memory: float


# NVIDIA's data sheets, SXM.
GPUS: Final = MappingProxyType(
    {
        "h100": Gpu(name="H100", peak=989e12, memory=80e9),
        "h200": Gpu(name="H200", peak=989e12, memory=141e9),
        "a100": Gpu(name="A100", peak=312e12, memory=80e9),
    }
)


def peak_of(device_name: str) -> float | None:
    """Return the bf16 operations per second of a device, or None if it is not in the table.

    Args:
        device_name: as the driver writes it, such as `NVIDIA H100 80GB HBM3`. The slower PCIe and
            NVL cards are not in the table.
    """
    if "PCIe" in device_name or "NVL" in device_name:
        return None
    words = device_name.replace("-", " ").split()
    return next((gpu.peak for gpu in GPUS.values() if gpu.name in words), None)
