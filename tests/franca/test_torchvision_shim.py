"""timm and torchvision's transforms import beside any build of torch."""

import subprocess
import sys

PROGRAM = """
import warnings; warnings.simplefilter("ignore")
from franca.torchvision_shim import ensure_torchvision
ensure_torchvision(); ensure_torchvision()
import timm, torchvision.transforms.v2 as v2, torch
print(v2.functional.hflip(torch.arange(3.)).tolist())
"""


def test_repairs_the_import_and_is_idempotent():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[2.0, 1.0, 0.0]"
