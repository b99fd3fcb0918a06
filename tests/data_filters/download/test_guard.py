"""What may be fetched: the attacks that img2dataset alone would fall for."""

import datetime as dt
import http.client
import ipaddress
import ssl
import time
import urllib.error

import pytest
import trustme

from data_filters.download import guard as module
from data_filters.download import hosts
from data_filters.download.guard import DEADLINE, Guard, RedirectError, build_director
from data_filters.download.origin import LoopbackOrigin
from data_filters.download.reasons import FetchError, explain


def guard(*networks, max_bytes=10_000):
    return Guard(
        max_bytes=max_bytes,
        allowed_networks=tuple(map(ipaddress.ip_network, networks)),
        resolver=hosts.Resolver(60.0),
    )


def fetch(url, *, networks=("127.0.0.0/8",), seconds=5.0, max_bytes=10_000):
    DEADLINE.start(seconds)
    director = build_director(guard(*networks, max_bytes=max_bytes))
    with director.open(url, timeout=2.0) as response:
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
        ("::7f00:1", False),
        ("64:ff9b::0a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("240.0.0.1", False),
    ],
)
def test_only_public_addresses_are_contacted(address, allowed):
    assert guard().allows(address) is allowed


def test_a_network_may_be_allowed_and_nothing_else_with_it():
    assert guard("127.0.0.0/8").allows("127.0.0.1")
    assert guard("127.0.0.0/8").allows("::ffff:127.0.0.1")
    assert not guard("127.0.0.0/8").allows("10.0.0.1")
    assert not guard("127.0.0.0/8").allows("::1")
    assert guard("10.1.0.0/16", "::1/128").allows("10.1.2.3")
    assert guard("10.1.0.0/16", "::1/128").allows("::1")
    assert not guard("10.1.0.0/16").allows("10.2.0.1")


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://a.org/x", "data:text/plain,hi", "gopher://a.org/"]
)
def test_other_schemes_are_refused(url):
    with pytest.raises(FetchError, match="scheme_not_allowed"):
        fetch(url)


def test_a_private_address_is_refused_without_a_connection(monkeypatch):
    monkeypatch.setattr(module, "_Socket", None)
    for url in ("http://10.0.0.1/", "https://192.168.0.1/x", "http://0x7f.1/"):
        with pytest.raises(urllib.error.URLError, match="private_address"):
            fetch(url, networks=())


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

    monkeypatch.setattr(hosts.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(module, "_Socket", Recorder)
    with pytest.raises(urllib.error.URLError, match="stop here"):
        fetch("http://rebinding.org/", networks=())
    assert connected == ["93.184.216.34"]


def test_a_name_with_public_and_private_addresses_leads_to_the_public_one(monkeypatch):
    places = ("10.0.0.1", "127.0.0.1", "93.184.216.34")
    connected = []

    class Recorder(module._Socket):
        def connect(self, place):
            connected.append(place[0])
            raise OSError("stop here")

    monkeypatch.setattr(
        hosts.socket,
        "getaddrinfo",
        lambda _, port, **__: [(2, 1, 6, "", (p, port)) for p in places],
    )
    monkeypatch.setattr(module, "_Socket", Recorder)
    with pytest.raises(urllib.error.URLError, match="stop here"):
        fetch("http://mixed.org/", networks=())
    assert connected == ["93.184.216.34"]


def test_redirects_are_reported_and_not_followed(tmp_path):
    faults = {"/a.jpg": "redirect_private", "/b.jpg": "redirect_file", "/c.jpg": "redirect_loop"}
    with LoopbackOrigin(tmp_path, faults) as origin:
        with pytest.raises(RedirectError) as caught:
            fetch(f"http://{origin.address}/a.jpg")
        assert caught.value.url == "http://169.254.169.254/latest/x.jpg"
        with pytest.raises(RedirectError) as caught:
            fetch(f"http://{origin.address}/c.jpg")
        assert caught.value.url == f"http://{origin.address}/c.jpg?again"
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"http://{origin.address}/b.jpg")
        assert str(explain(refused.value)) == "scheme_not_allowed: in a redirect"
        assert origin.num_requests == 3


def test_a_body_is_cut_off_at_the_limit(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(1001))
    with LoopbackOrigin(tmp_path, {"/b.jpg": "endless"}) as origin:
        assert fetch(f"http://{origin.address}/a.jpg", max_bytes=1001) == bytes(1001)
        for name in ("a.jpg", "b.jpg"):
            with pytest.raises(FetchError, match="too_many_bytes: more than 1000"):
                fetch(f"http://{origin.address}/{name}", max_bytes=1000)


def test_half_a_body_is_no_body(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    with (
        LoopbackOrigin(tmp_path, {"/a.jpg": "incomplete"}) as origin,
        pytest.raises(http.client.IncompleteRead),
    ):
        fetch(f"http://{origin.address}/a.jpg")


def test_a_steady_trickle_ends_at_the_total_time(tmp_path):
    with LoopbackOrigin(tmp_path, {"/a.jpg": "slow"}) as origin:
        start = time.monotonic()
        with pytest.raises(FetchError, match=r"timeout: not over after 0\.5 s") as caught:
            fetch(f"http://{origin.address}/a.jpg", seconds=0.5)
        assert time.monotonic() - start > 0.5
        assert not caught.value.passing


def test_one_tls_context_serves_every_request():
    director = build_director(guard())
    (handler,) = [each for each in director.handlers if isinstance(each, module._Https)]
    made = [handler._make("a.org", timeout=1.0, context=handler._shared) for _ in range(2)]
    assert made[0]._context is made[1]._context is handler._shared
    assert handler._shared.verify_mode.name == "CERT_REQUIRED"
    assert handler._shared.check_hostname


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def https(authority, folder, name, **options):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(tls)
    return LoopbackOrigin(folder, {}, tls=tls)


def test_certificates_are_verified(tmp_path, monkeypatch, authority):
    (tmp_path / "a.jpg").write_bytes(b"x")
    with https(authority, tmp_path, "127.0.0.1") as origin:
        with pytest.raises(urllib.error.URLError) as caught:
            fetch(f"https://{origin.address}/a.jpg")
        assert str(explain(caught.value)) == "tls: unable to get local issuer certificate"
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert fetch(f"https://{origin.address}/a.jpg") == b"x"


def test_a_certificate_is_for_one_name_and_for_a_time(tmp_path, monkeypatch, authority):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    for name, options, words in (
        ("elsewhere.org", {}, "IP address mismatch"),
        ("127.0.0.1", {"not_after": past}, "certificate has expired"),
    ):
        with https(authority, tmp_path, name, **options) as origin:
            with pytest.raises(urllib.error.URLError) as caught:
                fetch(f"https://{origin.address}/a.jpg")
            assert str(explain(caught.value)).startswith("tls: ")
            assert words in str(explain(caught.value))
