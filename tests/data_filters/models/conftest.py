"""Files of weights that went bad on their way."""

import pytest


@pytest.fixture
def damaged(tmp_path):
    """Return a function from a whole file to broken ones of the same kind."""

    def broken(whole):
        data = whole.read_bytes()
        contents = {
            "empty": b"",
            "head": data[:7],
            "half": data[: len(data) // 2],
            "cut": data[: len(data) - len(data) // 10],
            "page": b"<!doctype html><title>404</title>" * 40,
        }
        for name, content in contents.items():
            file = tmp_path / f"{name}{whole.suffix}"
            file.write_bytes(content)
            yield file

    return broken
