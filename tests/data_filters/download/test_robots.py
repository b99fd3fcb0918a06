"""What a robots.txt allows, and what its absence does."""

import pytest

from data_filters.download import hosts
from data_filters.download.address import Address
from data_filters.download.reasons import FetchError
from data_filters.download.robots import Robots

RULES = b"""
User-agent: *
Disallow: /private/
Disallow: /*.png$

User-agent: img2dataset
Disallow: /art/

User-agent: otherbot
Disallow: /
"""


class Web:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def fetch(self, address):
        self.asked.append(address.url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def verdict(self, robots, url):
        try:
            robots.require(Address.parse(url))
        except FetchError as error:
            return str(error)
        return None


@pytest.fixture
def web():
    def make(answer):
        web = Web(answer)
        return web, Robots(web.fetch, agents=("franca", "img2dataset"))

    return make


def test_rules_for_everybody_and_for_the_tool_are_obeyed(web):
    site, robots = web(RULES)
    assert site.verdict(robots, "https://a.org:8443/x.jpg") is None
    assert site.verdict(robots, "https://a.org:8443/private/x.jpg") == "robots_denied: franca"
    assert site.verdict(robots, "https://a.org:8443/x.png") == "robots_denied: franca"
    assert site.verdict(robots, "https://a.org:8443/art/x.jpg") == "robots_denied: img2dataset"
    assert site.asked == ["https://a.org:8443/robots.txt"]


def test_each_origin_has_rules_of_its_own(web):
    site, robots = web(RULES)
    for url in ("http://a.org/x", "https://a.org/x", "http://b.org/x", "http://a.org/y"):
        site.verdict(robots, url)
    assert site.asked == [
        f"{o}/robots.txt" for o in ("http://a.org", "https://a.org", "http://b.org")
    ]


def test_no_rules_allow_everything_and_garbage_does_too(web):
    for answer in (FetchError("http_404", "Not Found"), b"", b"<html>\xff\x00", b"Disallow"):
        site, robots = web(answer)
        assert site.verdict(robots, "http://a.org/x.jpg") is None


def test_of_a_long_robots_txt_the_beginning_counts(web):
    begin = b"User-agent: *\nDisallow: /first\n#"
    rest = b"\nDisallow: /last\n"
    fits = begin + bytes(500 * 1024 - len(begin + rest)) + rest
    longer = begin + bytes(len(rest)) + fits[len(begin) :]
    for text, verdict in ((fits, "robots_denied: franca"), (longer, None)):
        site, robots = web(text)
        assert site.verdict(robots, "http://a.org/first") == "robots_denied: franca"
        assert site.verdict(robots, "http://a.org/last") == verdict


def test_rules_are_asked_for_once_a_day(web, monkeypatch):
    site, robots = web(RULES)
    for hours, times in ((0, 1), (23.9, 1), (24.1, 2)):
        monkeypatch.setattr(hosts.time, "monotonic", lambda hours=hours: 3600.0 * hours)
        robots.require(Address.parse("http://a.org/x.jpg"))
        assert len(site.asked) == times


@pytest.mark.parametrize("reason", ["private_address", "http_501"])
def test_a_host_that_cannot_tell_its_rules_forbids(web, reason):
    final, robots = web(FetchError(reason, "a.org"))
    for _ in range(2):
        assert final.verdict(robots, "http://a.org/x") == f"{reason}: robots.txt: a.org"
    assert len(final.asked) == 1


def test_a_host_that_is_busy_is_asked_again(web):
    passing, robots = web(FetchError("http_503", "busy", passing=True))
    for _ in range(2):
        assert passing.verdict(robots, "http://a.org/x") == "http_503: robots.txt: busy"
    assert len(passing.asked) == 2
