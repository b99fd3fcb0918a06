"""The guard around the reading of weights."""

import pickle

import pytest

from data_filters.models.weights import reading


def test_the_error_is_one_line_of_bounded_length(tmp_path):
    with (
        pytest.raises(ValueError, match="the weights of x") as caught,
        reading(tmp_path / "a.pt", of="the weights of x"),
    ):
        raise RuntimeError("Missing key(s):\n\t" + "a.weight, " * 1000)
    text = str(caught.value).removeprefix(str(tmp_path))
    assert text.startswith(
        "/a.pt: not readable as the weights of x (RuntimeError: Missing key(s): a"
    )
    assert "\n" not in text
    assert len(text) < 400
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    "error", [StopIteration(), EOFError(), pickle.UnpicklingError(), KeyError()]
)
def test_errors_without_a_word_are_told_by_their_kind(tmp_path, error):
    with (
        pytest.raises(ValueError, match=rf"\({type(error).__name__}\); fetch it again"),
        reading(tmp_path / "a.pt", of="weights"),
    ):
        raise error


@pytest.mark.parametrize("kind", [FileNotFoundError, ModuleNotFoundError, MemoryError])
def test_what_is_not_the_fault_of_the_file_passes(tmp_path, kind):
    with pytest.raises(kind), reading(tmp_path / "a.pt", of="weights"):
        raise kind
