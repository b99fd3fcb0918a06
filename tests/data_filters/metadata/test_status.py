"""The download that the source made for itself."""

from data_filters.metadata.status import StatusFilter


def test_reasons(judge):
    rows = [{"status": "success"}, {"status": "failed_to_download"}, {"status": None}]
    dropped = ("status", "failed_at_source")
    assert judge(StatusFilter(allowed=["success"], missing="drop"), rows) == [
        None, dropped, ("status", "status_missing"),
    ]  # fmt: skip
    assert judge(StatusFilter(allowed=["success"], missing="keep"), rows) == [None, dropped, None]
    assert judge(StatusFilter(allowed=[""], missing="keep"), rows) == [dropped, dropped, None]
    assert judge(StatusFilter(allowed=None, missing="drop"), rows) == [None] * 3
