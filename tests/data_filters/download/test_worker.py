"""What a worker makes of img2dataset's table."""

import pytest

from data_filters.download.worker import _outcome, _substitute


def row(**changes):
    data = {"row_id": "r", "key": "k", "status": "success", "error_message": None}
    return {**data, "stated_md5": None, "md5": "m", **changes}


def test_success_hands_over_the_bytes(jpeg):
    outcome = _outcome(row(), {"k": jpeg(0)}, origin=None)
    assert (outcome.row_id, outcome.data, outcome.verdict.kept) == ("r", jpeg(0), True)


@pytest.mark.parametrize(("stated", "reason"), [("m", None), (None, None), ("n", "md5_mismatch")])
def test_bytes_must_be_those_that_the_source_saw(jpeg, stated, reason):
    outcome = _outcome(row(stated_md5=stated), {"k": jpeg(0)}, origin=None)
    assert outcome.verdict.reason == reason


def test_what_is_no_image_is_said_to_be_none_before_checksums_are_compared():
    outcome = _outcome(row(stated_md5="n"), {"k": b"<html>"}, origin=None)
    assert outcome.verdict.reason == "not_an_image"


def test_a_failure_keeps_its_message_without_the_port_of_the_day():
    message = "private_address: 127.0.0.1:43210" + "x" * 500
    failed = row(status="failed_to_download", error_message=message)
    outcome = _outcome(failed, {}, origin="127.0.0.1:43210")
    assert outcome.verdict.reason == "private_address"
    assert outcome.verdict.detail.startswith("{origin}x")
    assert len(outcome.verdict.detail) == 200
    silent = row(status="failed_to_resize", error_message=None)
    assert _outcome(silent, {}, origin=None).verdict.reason == "undecodable"


def test_the_origin_takes_the_place_of_its_placeholder():
    url = "http://{origin}/images/1.jpg"
    assert _substitute(url, "127.0.0.1:8") == "http://127.0.0.1:8/images/1.jpg"
    assert _substitute(url, None) == url
