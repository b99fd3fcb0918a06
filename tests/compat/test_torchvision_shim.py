"""What imports torchvision can be imported beside any build of torch."""

import subprocess
import sys

import pytest

from compat import torchvision_shim

PROGRAM = """
import warnings; warnings.simplefilter("ignore")
from compat.torchvision_shim import ensure_torchvision
ensure_torchvision(); ensure_torchvision()
import open_clip, timm, torchvision.transforms.v2 as v2, torch
print(v2.functional.hflip(torch.arange(3.)).tolist())
"""


def test_repairs_the_import_and_is_idempotent():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[2.0, 1.0, 0.0]"


def test_another_error_is_not_swallowed(monkeypatch):
    def fail(name):
        raise RuntimeError(f"{name}: something else")

    monkeypatch.setattr(torchvision_shim.importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        torchvision_shim.ensure_torchvision()
