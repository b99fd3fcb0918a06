"""Patience and manners, towards a real server."""

import io
import time
import urllib.request
from wsgiref.headers import Headers

import pytest

from data_filters.download.client import RedirectError
from data_filters.download.opener import Page
from data_filters.download.origin import LoopbackOrigin
from data_filters.download.reasons import FetchError


@pytest.fixture
def web(tmp_path, polite):
    """Serve a.jpg with a fault; return the server, an opener and the pulses that it gave."""
    (tmp_path / "a.jpg").write_bytes(b"bytes")
    origins = []

    def serve(fault=None, **changes):
        origin = LoopbackOrigin(tmp_path, {"/a.jpg": fault} if fault else {})
        origins.append(origin.__enter__())
        beats = []
        return origin, polite(beat=lambda: beats.append(1), **changes), beats

    yield serve
    for origin in origins:
        origin.__exit__(None, None, None)


def fetch(origin, opener, path="/a.jpg"):
    with opener.open(urllib.request.Request(f"http://{origin.address}{path}")) as response:
        return response.read()


def failure(origin, opener):
    with pytest.raises(FetchError) as caught:
        fetch(origin, opener)
    return caught.value


def test_an_answer_has_its_body_headers_and_address(web):
    origin, opener, beats = web()
    with opener.open(f"http://{origin.address}/a.jpg") as response:
        assert isinstance(response, io.BytesIO)
        assert response.url == f"http://{origin.address}/a.jpg"
        assert (response.read(), response.status) == (b"bytes", 200)
        assert response.headers["Content-Type"] == "image/jpeg"
    assert beats == [1]


@pytest.mark.parametrize("fault", ["flaky", "moved", "mistyped", "opt_out_other"])
def test_what_passes_is_waited_for(web, fault):
    origin, opener, _ = web(fault)
    assert fetch(origin, opener) == b"bytes"


def test_a_server_gets_the_time_it_asks_for(web):
    origin, opener, _ = web("busy_once")
    start = time.monotonic()
    assert fetch(origin, opener) == b"bytes"
    assert time.monotonic() - start >= 1.0  # Retry-After: 1
    assert origin.num_requests == 2


@pytest.mark.parametrize(
    ("fault", "reason", "requests"),
    [
        ("not_found", "http_404", 1),
        ("gone", "http_410", 1),
        ("forbidden", "http_403", 1),
        ("opt_out", "opted_out", 1),
        ("opt_out_named", "opted_out", 1),
        ("opt_out_tdm", "opted_out", 1),
        ("endless", "too_many_bytes", 1),
        ("redirect_private", "private_address", 1),
        ("redirect_file", "scheme_not_allowed", 1),
        ("redirect_loop", "redirect_loop", 2),
        ("busy", "http_429", 1),  # it asks for an hour
        ("broken", "http_500", 3),
        ("reset", "connection", 3),
        ("incomplete", "incomplete", 3),
    ],
)
def test_only_what_may_pass_is_tried_again(web, fault, reason, requests):
    origin, opener, beats = web(fault, retries=2)
    assert failure(origin, opener).reason == reason
    assert origin.num_requests == requests
    assert beats == [1]


def test_a_drip_has_had_its_time_and_silence_may_be_a_lost_packet(web):
    limits = {"timeout_seconds": 0.3, "total_timeout_seconds": 0.5}
    for fault, requests in (("slow", 1), ("timeout", 2)):
        origin, opener, _ = web(fault, **limits)
        assert failure(origin, opener).reason == "timeout"
        assert origin.num_requests == requests


def test_pauses_grow_are_bounded_and_differ_between_urls(web):
    _, opener, _ = web(backoff_seconds=1.0, max_backoff_seconds=6.0)
    error = FetchError("http_503", passing=True)
    pauses = [opener._pause(error, url="http://a.org/", attempt=n) for n in range(4)]
    assert pauses == [opener._pause(error, url="http://a.org/", attempt=n) for n in range(4)]
    for attempt, pause in enumerate(pauses):
        assert 0.5 * 2**attempt <= pause <= min(1.5 * 2**attempt, 6.0)
    assert pauses[0] != opener._pause(error, url="http://b.org/", attempt=0)
    for asked, pause in ((5.5, 5.5), (6.0, 6.0), (6.1, None)):
        polite = FetchError("http_429", passing=True, retry_after=asked)
        assert opener._pause(polite, url="http://a.org/", attempt=0) == pause
    assert opener._pause(FetchError("http_404"), url="http://a.org/", attempt=0) is None


def test_a_host_is_not_asked_by_too_many_at_once(web, monkeypatch):
    origin, opener, _ = web(max_per_host=1)
    inside = []
    get = opener._get

    def watched(address, **options):
        inside.append(dict(opener._slots._held))
        return get(address, **options)

    monkeypatch.setattr(opener, "_get", watched)
    fetch(origin, opener)
    assert inside == [{origin.address: 1}]


def test_a_default_port_makes_no_other_host(web, monkeypatch):
    _, opener, _ = web(robots_txt=True)
    asked = []

    def get(address, **_):
        asked.append((address.url, dict(opener._slots._held)))
        return Page(b"", headers=Headers(), url=address.url, status=200)

    monkeypatch.setattr(opener, "_get", get)
    for url in ("http://a.org/a", "http://A.org:80/b", "https://a.org:443/c", "http://a.org:81/d"):
        opener.open(url)
    assert asked == [
        ("http://a.org/robots.txt", {"a.org": 1}),
        ("http://a.org/a", {"a.org": 1}),
        ("http://a.org/b", {"a.org": 1}),
        ("https://a.org/robots.txt", {"a.org": 1}),
        ("https://a.org/c", {"a.org": 1}),
        ("http://a.org:81/robots.txt", {"a.org:81": 1}),
        ("http://a.org:81/d", {"a.org:81": 1}),
    ]


def test_robots_are_told_once_per_host(web, tmp_path):
    (tmp_path / "robots.txt").write_text("User-agent: img2dataset\nDisallow: /a.jpg\n")
    (tmp_path / "b.jpg").write_bytes(b"others")
    origin, opener, _ = web(robots_txt=True)
    assert str(failure(origin, opener)) == "robots_denied: img2dataset"
    assert fetch(origin, opener, "/b.jpg") == b"others"
    assert origin.num_requests == 2  # robots.txt and b.jpg
    origin, opener, _ = web(robots_txt=False)
    assert fetch(origin, opener) == b"bytes"


def test_we_say_who_we_are(polite, server):
    with server([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]) as (address, log):
        polite(user_agent="Franca").open(f"http://{address}/a.jpg").close()
    agent = b"\r\nUser-Agent: Mozilla/5.0 (compatible; Franca; img2dataset)\r\n"
    assert agent in log[0][1]


@pytest.fixture
def two_hosts(tmp_path, polite):
    """A host that redirects to a second one, which has a robots.txt; what they are asked for."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a.jpg").write_bytes(b"bytes")
    with LoopbackOrigin(tmp_path / "two", {}) as there:
        target = f"http://{there.address}/a.jpg"
        with LoopbackOrigin(tmp_path / "one", {"/a.jpg": f"redirect_to {target}"}) as here:
            opener = polite(robots_txt=True)
            yield here, there, opener, tmp_path / "two" / "robots.txt"


def test_the_host_that_a_redirect_leads_to_is_asked_for_its_rules(two_hosts):
    here, there, opener, robots = two_hosts
    robots.write_text("User-agent: franca\nDisallow: /a.jpg\n")
    error = failure(here, opener)
    assert (error.reason, error.detail) == ("robots_denied", "franca")
    assert there.num_requests == 1  # robots.txt, and not the image


def test_a_redirect_is_followed_where_the_rules_allow_it(two_hosts):
    here, there, opener, robots = two_hosts
    robots.write_text("User-agent: franca\nDisallow: /b.jpg\n")
    with opener.open(f"http://{here.address}/a.jpg") as response:
        assert response.read() == b"bytes"
        assert response.url == f"http://{there.address}/a.jpg"
    assert (here.num_requests, there.num_requests) == (2, 2)


def test_a_robots_txt_that_lies_elsewhere_is_fetched_without_asking(two_hosts, tmp_path, polite):
    _, there, _, robots = two_hosts
    robots.write_text("User-agent: *\nDisallow: /\n")  # of there: its own images
    rules = f"http://{there.address}/robots.txt"
    with LoopbackOrigin(tmp_path / "two", {"/robots.txt": f"redirect_to {rules}"}) as third:
        opener = polite(robots_txt=True)
        assert failure(third, opener).reason == "robots_denied"
        assert (third.num_requests, there.num_requests) == (1, 1)


def test_the_time_of_an_attempt_includes_its_redirects(tmp_path, polite):
    with LoopbackOrigin(tmp_path, {"/a.jpg": "slow"}) as drips:
        target = f"http://{drips.address}/a.jpg"
        with LoopbackOrigin(tmp_path, {"/a.jpg": f"redirect_to {target}"}) as origin:
            short = polite(timeout_seconds=0.5, total_timeout_seconds=0.5, retries=0)
            error = failure(origin, short)
    assert (error.reason, error.detail) == ("timeout", "not over after 0.5 s")


def test_what_a_redirect_took_is_not_there_for_where_it_leads(web, monkeypatch):
    origin, opener, _ = web(total_timeout_seconds=5.0)
    left = []

    def slow(_address, *, deadline):
        left.append(deadline._moment - time.monotonic())
        time.sleep(0.3)
        raise RedirectError(f"http://{origin.address}/{len(left)}")

    monkeypatch.setattr(opener, "_get", slow)
    failure(origin, opener)
    assert left[0] == pytest.approx(5.0, abs=0.2)
    assert left[3] <= 5.0 - 3 * 0.3


def test_a_long_chain_of_redirects_is_a_loop(tmp_path, polite):
    faults = {f"/{n}": f"redirect_to /{n + 1}" for n in range(12)} | {"/a.jpg": "redirect_to /0"}
    with LoopbackOrigin(tmp_path, faults) as origin:
        assert failure(origin, polite()).reason == "redirect_loop"
        assert origin.num_requests == 11
