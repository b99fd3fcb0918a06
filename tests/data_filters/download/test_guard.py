"""What may be fetched: the attacks that img2dataset alone would fall for."""

import http.client
import time
import urllib.error

import pytest

from data_filters.download import guard as module
from data_filters.download.guard import Guard, RefusedError, build_opener
from data_filters.download.origin import LoopbackOrigin


@pytest.fixture(autouse=True)
def no_memory_between_tests(monkeypatch):
    monkeypatch.setattr(module, "_FINAL", {})


def guard(**changes):
    return Guard(**{"max_bytes": 10_000, "total_timeout": 5.0, "allow_loopback": True, **changes})


def fetch(url, *, timeout=2.0, **changes):
    with build_opener(guard(**changes)).open(url, timeout=timeout) as response:
        return response.read()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_only_public_addresses_are_contacted(address, allowed):
    assert guard(allow_loopback=False).allows(address) is allowed


def test_the_loopback_may_be_allowed_and_nothing_else_with_it():
    assert guard().allows("127.0.0.1")
    assert guard().allows("::1")
    assert not guard().allows("10.0.0.1")


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://a.org/x", "data:text/plain,hi", "gopher://a.org/"]
)
def test_other_schemes_are_refused(url):
    with pytest.raises(RefusedError, match="scheme not allowed"):
        fetch(url)


def test_a_private_address_is_refused_without_a_connection(monkeypatch):
    monkeypatch.setattr(module, "_Socket", None)
    for url in ("http://10.0.0.1/", "https://192.168.0.1/x", "http://0x7f.1/"):
        with pytest.raises(urllib.error.URLError, match="private address"):
            fetch(url, allow_loopback=False)


def test_the_address_connected_to_is_the_one_checked(monkeypatch):
    """A name that resolves to something else a moment later (DNS rebinding) gains nothing."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    connected = []

    class Recorder(module._Socket):
        def connect(self, place):
            connected.append(place[0])
            raise OSError("stop here")

    def resolve(_, port, **__):
        return [(2, 1, 6, "", (next(answers), port))]

    monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(module, "_Socket", Recorder)
    with pytest.raises(urllib.error.URLError, match="stop here"):
        fetch("http://rebinding.org/", allow_loopback=False)
    assert connected == ["93.184.216.34"]


def test_redirects_pass_the_same_gate(tmp_path):
    with (
        LoopbackOrigin(tmp_path, {"/a.jpg": "redirect_private"}) as origin,
        pytest.raises(urllib.error.URLError, match=r"private address: 169\.254\.169\.254"),
    ):
        fetch(f"http://{origin.address}/a.jpg")


def test_a_body_is_cut_off_at_the_limit(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(1001))
    with LoopbackOrigin(tmp_path, {"/b.jpg": "endless"}) as origin:
        assert fetch(f"http://{origin.address}/a.jpg", max_bytes=1001) == bytes(1001)
        for name in ("a.jpg", "b.jpg"):
            with pytest.raises(RefusedError, match="too many bytes: more than 1000"):
                fetch(f"http://{origin.address}/{name}", max_bytes=1000)


def test_half_a_body_is_no_body(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    with (
        LoopbackOrigin(tmp_path, {"/a.jpg": "incomplete"}) as origin,
        pytest.raises(http.client.IncompleteRead),
    ):
        fetch(f"http://{origin.address}/a.jpg")


def test_a_steady_trickle_ends_at_the_total_time_and_is_not_tried_again(tmp_path):
    with LoopbackOrigin(tmp_path, {"/a.jpg": "slow"}) as origin:
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out"):
            fetch(f"http://{origin.address}/a.jpg", total_timeout=0.5)
        assert 0.5 < time.monotonic() - start < 2
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out"):
            fetch(f"http://{origin.address}/a.jpg", total_timeout=0.5)
        assert time.monotonic() - start < 0.4


def test_what_is_gone_is_asked_for_once_and_what_is_busy_again(tmp_path):
    (tmp_path / "busy.jpg").write_bytes(b"x")
    faults = {"/gone.jpg": "gone", "/busy.jpg": "flaky"}
    with LoopbackOrigin(tmp_path, faults) as origin:
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError, match="410"):
                fetch(f"http://{origin.address}/gone.jpg")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            fetch(f"http://{origin.address}/busy.jpg")
        assert fetch(f"http://{origin.address}/busy.jpg") == b"x"
        assert origin.num_requests == 3


def test_one_tls_context_serves_every_request():
    opener = build_opener(guard())
    (handler,) = [each for each in opener.handlers if isinstance(each, module._Https)]
    made = [handler._make("a.org", timeout=1.0, context=handler._shared) for _ in range(2)]
    assert made[0]._context is made[1]._context is handler._shared
    assert handler._shared.verify_mode.name == "CERT_REQUIRED"
    assert handler._shared.check_hostname
