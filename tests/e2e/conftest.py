"""Clones that a whole session shares: each takes about a minute to make."""

import pytest

from tests.e2e.clones import make_clone


@pytest.fixture(scope="session")
def snakemake_clone(tmp_path_factory):
    """A clone in which `snakemake --cores 2` has made everything."""
    clone = make_clone(tmp_path_factory.mktemp("snakemake"))
    clone.snakemake()
    return clone


@pytest.fixture(scope="session")
def dvc_clone(tmp_path_factory):
    """A clone in which `dvc repro` has made everything."""
    clone = make_clone(tmp_path_factory.mktemp("dvc"))
    clone.run("dvc", "repro", "--quiet")
    return clone
