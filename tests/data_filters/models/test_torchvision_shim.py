"""open_clip and timm can be imported beside a CPU build of torch."""

import importlib

import pytest

from data_filters.models import torchvision_shim


def test_what_needs_torchvision_can_be_imported():
    torchvision_shim.ensure_torchvision()
    for name in ("torchvision.transforms", "open_clip", "timm"):
        importlib.import_module(name)


def test_another_error_is_not_swallowed(monkeypatch):
    def fail(name):
        raise RuntimeError(f"{name}: something else")

    monkeypatch.setattr(torchvision_shim.importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        torchvision_shim.ensure_torchvision()
