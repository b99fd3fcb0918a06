"""URLs as HTTP carries them."""

import pytest

from data_filters.download.address import Address
from data_filters.download.reasons import FetchError


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://A.org", "http://a.org/"),
        (" https://a.org:8443/x%20y?q=1&r=%41#part ", "https://a.org:8443/x%20y?q=1&r=%41"),
        ("http://a.org/a b/ä.jpg?q=ü", "http://a.org/a%20b/%C3%A4.jpg?q=%C3%BC"),
        ("http://bücher.de/", "http://xn--bcher-kva.de/"),
        ("http://[2606:2800::1]:80/x", "http://[2606:2800::1]/x"),
        ("http://a.org:0080/", "http://a.org/"),
        ("https://a.org:443/", "https://a.org/"),
        ("https://a.org:80/", "https://a.org:80/"),
        ("http://a.org:443/", "http://a.org:443/"),
        ("http://a.org:/\r\nHost: b.org", "http://a.org/Host:%20b.org"),
    ],
)
def test_urls_are_written_as_http_carries_them(url, written):
    assert Address.parse(url).url == written
    assert Address.parse(written).url == written


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/hostname", "scheme_not_allowed"),
        ("www.a.org/x.jpg", "scheme_not_allowed"),
        ("http:///x.jpg", "bad_url"),
        ("http://user:secret@a.org/", "bad_url"),
        ("http://a.org:99999/", "bad_url"),
        ("http://a.org:0/", "bad_url"),
        ("http://[::1/", "bad_url"),
        ("http://" + "a" * 64 + ".org/", "bad_url"),
        ("http://a..org/", "bad_url"),
        ("http://a b.org/", "bad_url"),
        ("http://a\x00.org/", "bad_url"),
        ("http://a.org:8x/", "bad_url"),
        ("http://[v1.x]/", "bad_url"),
    ],
)
def test_what_is_no_address_is_said_to_be_none(url, reason):
    with pytest.raises(FetchError) as caught:
        Address.parse(url)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://a.org/", ("a.org", 80)),
        ("https://a.org:443/", ("a.org", 443)),
        ("https://[2606:2800::1]:8443/", ("2606:2800::1", 8443)),
    ],
)
def test_what_to_connect_to(url, reached):
    assert Address.parse(url).place.host_and_port == reached
