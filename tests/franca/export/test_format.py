import sys

import pytest

from franca.export.format import import_extra


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python does for a failed import
    with pytest.raises(ValueError, match=r"pip install 'franca-pipeline\[export\]'") as caught:
        import_extra("onnxruntime")
    assert "\n" not in str(caught.value)
