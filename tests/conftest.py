"""Options, fixtures and settings that all tests share."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# `franca`, `snakemake` and `dvc` are those of this environment, activated or not.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# The same examples every time, and no clock: a busy machine is not a failed test.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden resolved parameters"
    )


def pytest_runtest_setup():
    """Give every test the same random numbers, whichever tests this process ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(items):
    """Start with the slow tests, so that at the end no worker waits for another."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
