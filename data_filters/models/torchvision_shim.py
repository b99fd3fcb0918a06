"""Make `import torchvision` work beside a CPU build of torch.

The twin of franca/torchvision_shim.py: the two halves of the project share no code. open_clip and
timm import torchvision, whose registry wheels are CUDA builds; declaring the schemas of the two
operators that its import looks up repairs it and fakes nothing.
"""

import importlib
import sys

import torch

_KEEP_ALIVE: list[torch.library.Library] = []  # a Library that is collected takes its schemas along
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operator schemas if that is all that is wrong.

    Raises:
        RuntimeError: torchvision's own, if it fails for any other reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            library.define(schema)
        _KEEP_ALIVE.append(library)
        importlib.import_module("torchvision")
