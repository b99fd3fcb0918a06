"""Make `import torchvision` work beside a CPU build of torch.

The registry's torchvision wheels are CUDA builds. Beside CPU torch their compiled operators do not
load, and the import then fails although everything used here is plain Python. Declaring the schemas
of the two operators that the import looks up repairs it and fakes nothing: calling `nms` still
raises torchvision's own error.
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

    Call before importing timm, open_clip or transformers, which import torchvision themselves.

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
