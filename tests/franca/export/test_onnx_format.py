"""One graph for any batch and any size, under both laws, with and without a map."""

import pytest

from franca.export.onnx_format import ONNX
from franca.export.parity import measure
from tests.franca.export.conftest import backbone_of

SIZES = [((24, 24), 1), ((24, 24), 5), ((32, 12), 2), ((4, 4), 1), ((4, 40), 3), ((24, 48), 1)]


@pytest.mark.usefixtures("symbolic_sizes")
@pytest.mark.parametrize(
    ("interpolation", "registers", "with_map"), [("franca", 0, True), ("antialias", 3, False)]
)
def test_same_features(tmp_path, linear_map, interpolation, registers, with_map):
    backbone = backbone_of(
        registers=registers,
        interpolation=interpolation,
        linear_map=linear_map if with_map else None,
    )
    ONNX.write(backbone, tmp_path)
    read = ONNX.open(tmp_path)
    found = [measure(backbone, read, size=size, batch=batch) for size, batch in SIZES]
    assert [str(one) for one in found if not one.tolerated] == []
