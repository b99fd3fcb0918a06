"""The loopback origin misbehaves exactly as told."""

import urllib.error
import urllib.request

import pytest

from data_filters.download.origin import LoopbackOrigin


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a b.png").write_bytes(b"bytes")
    (tmp_path.parent / "secret.txt").write_bytes(b"secret")
    return tmp_path


def status(origin, path, timeout=1.0):
    try:
        with urllib.request.urlopen(f"http://{origin.address}{path}", timeout=timeout) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_files_are_served_as_they_are(folder):
    with LoopbackOrigin(folder, {}) as origin:
        code, body, headers = status(origin, "/inner/a%20b.png?size=5")
        assert (code, body, headers["Content-Type"]) == (200, b"bytes", "image/png")
        assert status(origin, "/nothing.jpg")[0] == 404
        assert status(origin, "/../secret.txt")[0] == 404
        assert status(origin, "/%2e%2e/secret.txt")[0] == 404
        assert origin.num_requests == 4


def test_faults(folder):
    path = "/inner/a%20b.png"
    expected = {"not_found": 404, "gone": 410, "forbidden": 403, "flaky": 503, "html": 200}
    for fault, code in expected.items():
        with LoopbackOrigin(folder, {"/inner/a b.png": fault}) as origin:
            answered, body, headers = status(origin, path)
            assert (answered, headers["Content-Type"]) == (code, "text/html")
            assert body.startswith(b"<!doctype html>")
            if fault == "flaky":
                assert status(origin, path)[:2] == (200, b"bytes")


def test_an_opt_out_is_a_header(folder):
    with LoopbackOrigin(folder, {"/inner/a b.png": "opt_out"}) as origin:
        _, body, headers = status(origin, "/inner/a%20b.png")
        assert (body, headers["X-Robots-Tag"]) == (b"bytes", "noai")


def test_a_timeout_holds_the_line_until_the_end(folder):
    with LoopbackOrigin(folder, {"/x": "timeout"}) as origin, pytest.raises(TimeoutError):
        status(origin, "/x", timeout=0.2)


def test_an_unknown_fault_is_named(folder):
    with pytest.raises(ValueError, match=r"faults\.json: '/x' has the fault 'moody'.*flaky"):
        LoopbackOrigin(folder, {"/x": "moody"})
