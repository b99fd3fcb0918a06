"""Where an image lies."""

import duckdb
import pytest

from data_filters.metadata.address import HOST_SQL, AddressFilter


def address(denied=()):
    return AddressFilter(allowed_schemes=["http", "https"], denied_domains=denied)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.ORG/a.jpg", "example.org"),
        ("http://example.org:8080?x=1", "example.org"),
        ("http://Example.ORG:8080/a.jpg", "example.org"),
        ("http://user:secret@example.org/a", "example.org"),
        ("http://example.org/@other.org/", "example.org"),
        ("http://user@name@example.org/a", "example.org"),
        ("http://[2001:db8::1]:80/x", "[2001:db8::1]"),
        ("http://münchen.de/ü.jpg", "münchen.de"),
        ("http://{origin}/images/a.jpg", "{origin}"),
        ("http:///a.jpg", ""),
        ("no url", ""),
        ("data:image/png;base64,xyz", ""),
    ],
)
def test_the_host_of_a_url(url, host):
    assert duckdb.execute(f"SELECT {HOST_SQL} FROM (SELECT ? AS url)", [url]).fetchone() == (host,)


def test_reasons(judge):
    urls = {
        "https://fine.org/a.jpg": None,
        "HTTP://FINE.ORG/a.jpg": None,
        "file:///etc/passwd": "scheme_not_allowed",
        "ftp://fine.org/a.jpg": "scheme_not_allowed",
        "data:image/png;base64,x": "scheme_not_allowed",
        "www.fine.org/a.jpg": "scheme_not_allowed",
        "http:///a.jpg": "host_missing",
        "https://bad.org/a.jpg": "domain_denied",
        "https://cdn.BAD.org./a.jpg": "domain_denied",
        "https://notbad.org/a.jpg": None,
        "https://bad.org.fine.org/a.jpg": None,
        "https://fine.org/bad.org": None,
        "https://badxorg/a.jpg": None,
        "   ": "address_missing",
        None: "address_missing",
    }
    verdicts = judge(address(denied=["Bad.org"]), [{"url": url} for url in urls])
    expected = [None if reason is None else ("address", reason) for reason in urls.values()]
    assert verdicts == expected


def test_a_domain_is_denied_however_it_is_written(judge):
    """The download asks for the host as IDNA spells it, so that is what is compared."""
    urls = {
        "http://münchen.de/a.jpg": True,
        "http://WWW.MÜNCHEN.de/a.jpg": True,
        "http://xn--mnchen-3ya.de/a.jpg": True,
        "http://bad。org/a.jpg": True,
        "http://munchen.de/ü.jpg": False,
        "http://" + "ü" * 70 + ".de/a.jpg": False,  # no IDNA: too long a label
    }
    rows = [{"url": url} for url in urls]
    expected = [("address", "domain_denied") if denied else None for denied in urls.values()]
    assert judge(address(denied=["München.de", "bad.org"]), rows) == expected
    assert judge(address(denied=["xn--mnchen-3ya.de", "bad.org"]), rows) == expected


def test_local_rows_have_a_path_instead(judge):
    assert judge(address(), [{"url": None, "path": "train/1.jpg"}]) == [None]


def test_an_allowed_scheme_further_on_does_not_help(judge):
    rows = [{"url": "ftp://fine.org/?from=http://fine.org/a.jpg"}]
    assert judge(address(), rows) == [("address", "scheme_not_allowed")]


def test_a_denied_domain_may_end_in_a_dot(judge):
    rows = [{"url": "https://bad.org/a.jpg"}]
    assert judge(address(denied=["bad.org."]), rows) == [("address", "domain_denied")]
