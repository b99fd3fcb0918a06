"""GPUs are found by the name that a driver writes, or are said to be unknown."""

import pytest

from franca.models.gpus import GPUS, peak_of


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("A100", "a100"),
    ],
)
def test_a_known_device_has_its_published_peak(name, gpu):
    assert peak_of(name) == GPUS[gpu].peak


@pytest.mark.parametrize(
    "name",
    ["", "NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA RTX A1000", "Tesla V100-SXM2-32GB"],
)
def test_another_device_has_none_rather_than_a_wrong_one(name):
    assert peak_of(name) is None


def test_the_table_is_in_plausible_units():
    for gpu in GPUS.values():
        assert 1e14 < gpu.peak < 1e16
        assert 10e9 < gpu.memory < 1e12
