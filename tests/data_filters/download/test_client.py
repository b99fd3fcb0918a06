"""Answers over connections that stay open, within the limits."""

import datetime as dt
import ipaddress
import ssl
import time
from contextlib import closing

import pytest
import trustme

from data_filters.download import hosts
from data_filters.download.address import Address
from data_filters.download.client import Client, RedirectError
from data_filters.download.guard import Deadline, Guard
from data_filters.download.keep_alive import IdleConnections
from data_filters.download.origin import LoopbackOrigin
from data_filters.download.reasons import FetchError, explain


def build(*, max_bytes=10_000):
    guard = Guard(
        max_bytes=max_bytes,
        allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),),
        resolver=hosts.Resolver(60.0),
    )
    idle = IdleConnections(limit=8, seconds=5.0)
    return closing(Client(guard, idle=idle, headers={"User-Agent": "x"}, timeout=2.0))


@pytest.fixture
def client():
    with build() as made:
        yield made


def get(client, url, *, seconds=5.0, accept=lambda _: None):
    address = Address.parse(url)
    return client.get(address, accept=accept, deadline=Deadline(seconds)).body


def fetch(url, *, seconds=5.0, max_bytes=10_000):
    with build(max_bytes=max_bytes) as made:
        return get(made, url, seconds=seconds)


def test_redirects_are_reported_and_not_followed(tmp_path):
    faults = {"/a.jpg": "redirect_private", "/b.jpg": "redirect_file", "/c.jpg": "redirect_loop"}
    with LoopbackOrigin(tmp_path, faults) as origin:
        with pytest.raises(RedirectError) as caught:
            fetch(f"http://{origin.address}/a.jpg")
        assert caught.value.url == "http://169.254.169.254/latest/x.jpg"
        with pytest.raises(RedirectError) as caught:
            fetch(f"http://{origin.address}/c.jpg")
        assert caught.value.url == f"http://{origin.address}/c.jpg?again"
        with pytest.raises(RedirectError) as caught:
            fetch(f"http://{origin.address}/b.jpg")
        assert caught.value.url == "file:///etc/hostname"
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
        pytest.raises(FetchError, match="incomplete"),
    ):
        fetch(f"http://{origin.address}/a.jpg")


def test_a_steady_trickle_ends_at_the_total_time(tmp_path):
    with LoopbackOrigin(tmp_path, {"/a.jpg": "slow"}) as origin:
        start = time.monotonic()
        with pytest.raises(FetchError, match=r"timeout: not over after 0\.5 s") as caught:
            fetch(f"http://{origin.address}/a.jpg", seconds=0.5)
        assert time.monotonic() - start > 0.5
        assert not caught.value.passing


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def https(authority, folder, name, *, keep_alive=True, **options):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(tls)
    return LoopbackOrigin(folder, {}, tls=tls, keep_alive=keep_alive)


def test_certificates_are_verified(tmp_path, monkeypatch, authority):
    (tmp_path / "a.jpg").write_bytes(b"x")
    with https(authority, tmp_path, "127.0.0.1") as origin:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
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
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                fetch(f"https://{origin.address}/a.jpg")
            assert str(explain(caught.value)).startswith("tls: ")
            assert words in str(explain(caught.value))


@pytest.fixture
def trusted(tmp_path, monkeypatch, authority):
    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return tmp_path


def test_a_kept_connection_serves_https_and_http_again(trusted, authority, client):
    with https(authority, trusted, "127.0.0.1") as secure, LoopbackOrigin(trusted, {}) as plain:
        for origin, scheme in ((secure, "https"), (plain, "http")):
            for _ in range(3):
                url = f"{scheme}://{origin.address}/a.jpg"
                assert get(client, url) == bytes(1000)
            assert (origin.num_requests, origin.num_connections) == (3, 1)


def test_where_nothing_is_kept_the_session_of_that_host_is_resumed(
    trusted, authority, client, monkeypatch
):
    resumed = []

    def url_of(origin):
        return f"https://{origin.address}/a.jpg"

    wrap = client._tls.wrap_socket

    def watched(*args, **options):
        wire = wrap(*args, **options)
        resumed.append(wire.session_reused)
        return wire

    monkeypatch.setattr(client._tls, "wrap_socket", watched)
    closing = {"keep_alive": False}
    with (
        https(authority, trusted, "127.0.0.1", **closing) as one,
        https(authority, trusted, "127.0.0.1", **closing) as other,
    ):
        for url in (url_of(one), url_of(one), url_of(other)):
            assert get(client, url) == bytes(1000)
        assert (one.num_connections, other.num_connections) == (2, 1)
    assert resumed == [False, True, False]


def test_a_page_that_nobody_wants_leaves_its_connection_open(tmp_path, client):
    faults = {"/gone.jpg": "gone", "/moved.jpg": "moved"}
    with LoopbackOrigin(tmp_path, faults) as origin:
        for name, kind in (("gone", FetchError), ("moved", RedirectError), ("gone", FetchError)):
            with pytest.raises(kind):
                get(client, f"http://{origin.address}/{name}.jpg")
        assert (origin.num_requests, origin.num_connections) == (3, 1)


@pytest.mark.parametrize("fault", ["endless", "incomplete", "reset"])
def test_a_connection_is_not_kept_when_its_answer_was_not_read_to_the_end(tmp_path, fault, client):
    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    with LoopbackOrigin(tmp_path, {"/b.jpg": fault, "/a.jpg": "mistyped"}) as origin:
        (tmp_path / "b.jpg").write_bytes(bytes(1000))
        with pytest.raises((FetchError, ConnectionError)):
            get(client, f"http://{origin.address}/b.jpg")
        assert get(client, f"http://{origin.address}/a.jpg") == bytes(1000)
        assert origin.num_connections == 2


def targets(log):
    return [(number, request.split(b" ")[1]) for number, request in log]


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_request_whose_kept_connection_the_server_closes_at_it_is_repeated_once(client, server):
    with server([WHOLE, b""], [WHOLE]) as (address, log):
        assert get(client, f"http://{address}/1") == b"ok"
        assert get(client, f"http://{address}/2") == b"ok"
        assert targets(log) == [(0, b"/1"), (0, b"/2"), (1, b"/2")]


def test_a_request_on_a_fresh_connection_is_not_repeated(client, server):
    with server([WHOLE, b""], [b""]) as (address, log):
        get(client, f"http://{address}/1")
        with pytest.raises(ConnectionError):
            get(client, f"http://{address}/2")
        assert targets(log) == [(0, b"/1"), (0, b"/2"), (1, b"/2")]


def test_a_request_of_which_a_part_came_is_not_repeated(client, server):
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    with server([WHOLE, half]) as (address, log):
        get(client, f"http://{address}/1")
        with pytest.raises(FetchError, match="incomplete"):
            get(client, f"http://{address}/2")
        assert targets(log) == [(0, b"/1"), (0, b"/2")]


def test_bytes_that_nobody_asked_for_end_a_connection(client, server):
    """What a server sends after its answer must not become the answer to the next request."""
    bad = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    for surplus in (bad, b"bad", b"HTTP/1.1 200"):
        with server([WHOLE + surplus], [WHOLE]) as (address, log):
            assert get(client, f"http://{address}/1") == b"ok"
            assert get(client, f"http://{address}/2") == b"ok"
            assert targets(log) == [(0, b"/1"), (1, b"/2")]


def test_a_kept_connection_that_breaks_in_the_middle_of_a_head_is_not_asked_again(client, server):
    with server([WHOLE, b"HTTP/1.1 200 OK\r\nContent-Le"]) as (address, log):
        get(client, f"http://{address}/1")
        with pytest.raises(FetchError, match="incomplete"):
            get(client, f"http://{address}/2")
        assert targets(log) == [(0, b"/1"), (0, b"/2")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_one(client, server, status):
    answer = f"HTTP/1.1 {status} There\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n".encode()
    with server([answer]) as (address, _), pytest.raises(RedirectError) as caught:
        get(client, f"http://{address}/1")
    assert caught.value.url == f"http://{address}/2"


def test_a_request_says_what_http_asks_for_and_no_more(client, server):
    with server([WHOLE]) as (address, log):
        get(client, f"http://{address}/a b?c#d")
    assert (
        log[0][1]
        == (
            f"GET /a%20b?c HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: identity\r\n"
            "User-Agent: x\r\n\r\n"
        ).encode()
    )


def test_a_coding_that_was_not_asked_for_is_no_image_and_no_rules(client, server):
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
    with server([packed]) as (address, _), pytest.raises(FetchError) as caught:
        get(client, f"http://{address}/1")
    assert str(caught.value) == "bad_response: Content-Encoding GZIP was not asked for"
    plain = packed.replace(b"GZIP", b"none")
    with server([plain]) as (address, _):
        assert get(client, f"http://{address}/1") == b"\x1f\x8b"


def test_a_body_that_is_not_accepted_is_not_read(tmp_path, client):
    def refuse(headers):
        raise FetchError("opted_out", headers["Content-Type"])

    with LoopbackOrigin(tmp_path, {"/a.jpg": "slow"}) as origin:
        start = time.monotonic()
        with pytest.raises(FetchError, match="opted_out: image/jpeg"):
            get(client, f"http://{origin.address}/a.jpg", accept=refuse)
        assert time.monotonic() - start < 2.0


def test_chunks_are_read_to_their_end_and_the_connection_kept(client, server):
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with server([chunks, WHOLE]) as (address, log):
        assert get(client, f"http://{address}/1") == b"ok"
        assert get(client, f"http://{address}/2") == b"ok"
        assert targets(log) == [(0, b"/1"), (0, b"/2")]


def test_the_time_of_an_attempt_holds_on_a_kept_connection(tmp_path, client):
    (tmp_path / "a.jpg").write_bytes(b"x")
    with LoopbackOrigin(tmp_path, {"/b.jpg": "slow"}) as origin:
        get(client, f"http://{origin.address}/a.jpg")
        with pytest.raises(FetchError, match=r"timeout: not over after 0\.3 s"):
            get(client, f"http://{origin.address}/b.jpg", seconds=0.3)
        assert origin.num_connections == 1
