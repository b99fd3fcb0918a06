import pytest

import franca
from franca.export.parity import measure
from franca.export.safetensors_format import SAFETENSORS
from tests.franca.export.conftest import backbone_of


@pytest.mark.parametrize("with_map", [False, True])
def test_round_trip_is_exact_and_keeps_what_is_known(tmp_path, linear_map, with_map):
    backbone = backbone_of(registers=2, linear_map=linear_map if with_map else None)
    SAFETENSORS.write(backbone, tmp_path)
    found = measure(backbone, SAFETENSORS.open(tmp_path), size=(32, 12), batch=2)
    assert found.largest == 0.0
    metadata = franca.load(tmp_path / "model.safetensors").metadata
    assert metadata["step"] == 7
    assert ("rasa" in metadata) is with_map
