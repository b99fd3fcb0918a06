"""From parameters to networks."""

import pytest
from pydantic import TypeAdapter

from data_filters.config_models import Network
from data_filters.models.build import build_network


def build(parameters, **changes):
    cfg = TypeAdapter(Network).validate_python({**parameters, **changes})
    return build_network(cfg, device="cpu", batch_size=2, key="a.key")


def test_a_network_is_loaded_once_in_a_process(tiny_clip, tiny_onnx, picture):
    for parameters in (tiny_clip, tiny_onnx):
        network = build(parameters)
        assert build(parameters) is network
        assert network.forward(network.prepare(picture(0))[None].repeat(2, axis=0)).shape[0] == 2


def test_other_weights_than_the_parameters_say_are_refused(tiny_onnx):
    with pytest.raises(ValueError, match=r"a\.key: '.*graph\.onnx' has the digest \w{64}, not 0"):
        build(tiny_onnx, sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match=r"a\.key: no file 'nowhere\.onnx'"):
        build(tiny_onnx, file="nowhere.onnx")
