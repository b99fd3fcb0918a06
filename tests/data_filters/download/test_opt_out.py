"""Whoever says no, in whichever of the known ways, is heard."""

from wsgiref.headers import Headers

import pytest

from data_filters.download.opt_out import opt_out


def objection(*values, name="X-Robots-Tag"):
    headers = Headers([("Server", "x"), *((name, value) for value in values)])
    return opt_out(headers, agents=("franca", "img2dataset"))


@pytest.mark.parametrize(
    "values",
    [
        ("noai",),
        ("NoAI",),
        ("noimageai",),
        ("noml",),
        ("noindex, nofollow",),
        ("none",),
        ("all", "noai"),
        ("*: noai",),
        ("franca: noai",),
        ("Franca: nofollow, noai",),
        ("img2dataset: noai",),
        ("otherbot: all, franca: noimageindex",),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noai",),
        ("max-snippet:20, noml",),
        ("unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noai",),
        ("Unavailable_After: 25 Jun 2010 15:00:00 PST, NoML",),
        ("franca: NoAI",),
        ("NOINDEX,NoImageAI",),
        ("otherbot: noai", "franca: noml"),
    ],
)
def test_no_means_no(values):
    assert objection(*values).startswith("X-Robots-Tag: no")


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("all",),
        ("nofollow, nosnippet",),
        ("otherbot: noai",),
        ("otherbot: nofollow, noai",),
        ("frankly: noai",),
        ("",),
        (":",),
        ("max-image-preview:none",),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST",),
        ("all", "otherbot: noai"),
    ],
)
def test_what_is_meant_for_others_or_forbids_other_things_is_no_objection(values):
    assert objection(*values) is None


def test_reservation_of_text_and_data_mining():
    assert objection("1", name="tdm-reservation") == "TDM-Reservation: 1"
    assert objection("0", name="TDM-Reservation") is None
