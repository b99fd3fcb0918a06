"""Options, fixtures and settings that all tests share."""

from hypothesis import HealthCheck, settings

# The same examples every time, and no clock: a busy machine is not a failed test.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden resolved parameters"
    )
