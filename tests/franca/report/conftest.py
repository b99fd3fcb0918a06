"""A finished run that the report's tests read, made once."""

import pytest

from tests.franca.report.world import make_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """Published folders by stage; treat as read-only."""
    return make_run(tmp_path_factory.mktemp("run"))
