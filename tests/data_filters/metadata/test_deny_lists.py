"""Lists of domains, URLs and MD5 sums, as text and as parquet."""

import gzip
import hashlib
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_filters.config import DenyList as DenyListConfig
from data_filters.metadata.address import AddressFilter
from data_filters.metadata.build import _lists
from data_filters.metadata.deny_lists import DenyList, DenyListFilter


@pytest.fixture
def lists(tmp_path):
    """Write entries in both forms."""

    def write(matches, entries, kind):
        file = tmp_path / f"{matches}.{kind}"
        if kind == "txt":
            file.write_text("# a comment\n\n" + "".join(f"{entry}\n" for entry in entries))
        else:
            pq.write_table(pa.table({matches: [*entries, None]}), file)
        return DenyList(file, matches)

    return write


@pytest.mark.parametrize("kind", ["txt", "parquet"])
def test_reasons(judge, lists, kind):
    denied = DenyListFilter(
        [
            lists("domain", ["Bad.org", " *.photos.example.com ", "uk", "xn--mnchen-3ya.de"], kind),
            lists("url", ["https://fine.org/a.jpg?x=1,2#'q'"], kind),
            lists("md5", ["D41D8CD98F00B204E9800998ECF8427E"], kind),
        ]
    )
    urls = {
        "https://bad.org/a.jpg": "domain_listed",
        "https://cdn.eu.BAD.org./a.jpg": "domain_listed",
        "https://notbad.org/a.jpg": None,
        "https://bad.org.fine.org/a.jpg": None,
        "https://example.com/a.jpg": None,
        "https://photos.example.com:8080/a.jpg": "domain_listed",
        "https://shop.co.uk/a.jpg": "domain_listed",
        "https://www.München.de/a.jpg": "domain_listed",
        "https://fine.org/a.jpg?x=1,2#'q'": "url_listed",
        "https://fine.org/a.jpg": None,
        "https://FINE.org/a.jpg?x=1,2#'q'": None,
    }
    rows = [{"url": url} for url in urls]
    rows += [
        {"url": "https://fine.org/b.jpg", "md5": "d41d8cd98f00b204e9800998ecf8427e"},
        {"url": "https://fine.org/b.jpg", "md5": "0" * 32},
        {"url": None, "path": "a.jpg"},
    ]
    expected = [*urls.values(), "md5_listed", None, None]
    assert judge(denied, rows) == [reason and ("deny_lists", reason) for reason in expected]


def test_long_lists_and_empty_ones(judge, lists):
    many = DenyListFilter([lists("domain", [f"d{n}.net" for n in range(20_000)], "txt")])
    rows = [{"url": f"https://www.d{n}.net/a"} for n in (0, 19_999, 20_000)]
    assert [verdict and verdict[1] for verdict in judge(many, rows)] == [
        "domain_listed", "domain_listed", None,
    ]  # fmt: skip
    nothing = DenyListFilter([lists(matches, [], "txt") for matches in ("domain", "url", "md5")])
    assert judge(nothing, rows) == [None] * 3


@pytest.mark.parametrize("name", ["list.txt", "list.txt.gz"])
def test_lists_of_other_machines_are_read(judge, tmp_path, name):
    """A byte order mark, ends of lines of Windows, an indented comment, no end of the last line."""
    text = b"\xef\xbb\xbfbad.org\r\n  # why\r\n\r\n.worse.org"
    file = tmp_path / name
    file.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    rows = [{"url": f"https://{host}/a"} for host in ("bad.org", "x.worse.org", "fine.org")]
    found = judge(DenyListFilter([DenyList(file, "domain")]), rows)
    assert [verdict is None for verdict in found] == [False, False, True]


@pytest.mark.parametrize(
    ("matches", "entries", "words"),
    [
        ("domain", ["a.org", "http://b.org/"], "1 of 2 entries are no domain, such as 'http://b"),
        ("domain", ["0.0.0.0 b.org", "b.*"], "2 of 2 entries are no domain, such as '0.0.0.0 b"),
        ("domain", ["münchen.de"], "expected entries like example.org or xn--mnchen-3ya.de"),
        ("url", ["b.org/1.jpg"], "1 of 1 entries are no url, such as 'b.org/1.jpg'"),
        ("md5", ["0" * 31, "0" * 32], "1 of 2 entries are no md5, such as '0000"),
    ],
)
def test_an_entry_that_could_never_match_is_refused(lists, matches, entries, words):
    with pytest.raises(ValueError, match=rf"{matches}\.txt: .*{re.escape(words)}"):
        DenyListFilter([lists(matches, entries, "txt")])


def test_a_file_of_something_else_is_refused(tmp_path):
    pq.write_table(pa.table({"host": ["a"]}), tmp_path / "list.parquet")
    with pytest.raises(ValueError, match=r"list\.parquet: cannot be read as a list of urls"):
        DenyListFilter([DenyList(tmp_path / "list.parquet", "url")])


def test_a_list_that_changed_is_refused(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("bad.org\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    class Section:
        deny_lists = (DenyListConfig(file=str(file), sha256=digest, matches="domain"),)

    assert _lists(Section) == [DenyList(file, "domain")]
    file.write_text("worse.org\n")
    with pytest.raises(ValueError, match=r"filter_metadata\.deny_lists\.0: .* has the digest"):
        _lists(Section)


def test_denied_domains_and_a_list_of_them_share_a_function(judge, lists):
    denied = AddressFilter(allowed_schemes=["https"], denied_domains=["bad.org"])
    listed = DenyListFilter([lists("domain", ["worse.org"], "txt")])
    rows = [{"url": f"https://{host}/ü.jpg"} for host in ("bad.org", "worse.org", "fine.org")]
    assert judge([denied, listed], rows) == [
        ("address", "domain_denied"), ("deny_lists", "domain_listed"), None,
    ]  # fmt: skip
