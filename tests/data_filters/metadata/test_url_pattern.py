"""URLs of what is no picture."""

import pytest

from data_filters.metadata.url_pattern import UrlPatternFilter

ICONS, TRACKERS = r"(?i)/(favicon|logo)[^/]*$", r"^https?://[^/]*\.track\.org/"


def test_reasons(judge):
    urls = {
        "https://a.org/photos/1.jpg": None,
        "https://a.org/Logo-2.PNG": "url_pattern_denied",
        "https://a.org/logo/photo.jpg": None,
        "http://x.track.org/photo.jpg": "url_pattern_denied",
        "http://a.org/?from=http://x.track.org/": None,
        "https://it's.org/favicon.ico": "url_pattern_denied",
        None: None,
    }
    found = judge(UrlPatternFilter([ICONS, TRACKERS]), [{"url": url} for url in urls])
    expected = [None if reason is None else ("url_pattern", reason) for reason in urls.values()]
    assert found == expected
    quoted = judge(UrlPatternFilter(["it's"]), [{"url": "https://it's.org/"}])
    assert quoted == [("url_pattern", "url_pattern_denied")]


def test_without_patterns_there_is_no_rule_and_a_bad_one_is_named():
    assert UrlPatternFilter([]).rules() == ()
    with pytest.raises(ValueError, match=r"denied_url_patterns: '\(' is no RE2 pattern"):
        UrlPatternFilter([ICONS, "("])
