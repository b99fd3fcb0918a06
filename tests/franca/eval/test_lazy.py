"""Items are made when asked for."""

import pytest

from franca.eval.lazy import Lazy, lazily


def test_items_are_made_one_by_one():
    made = []
    items = Lazy(4, lambda index: made.append(index) or index * 10)
    assert len(items) == 4
    assert made == []
    assert items[-1] == 30
    assert items[1:3] == [10, 20]
    assert made == [3, 1, 2]
    with pytest.raises(IndexError):
        items[4]
    assert list(items) == [0, 10, 20, 30]
    assert list(lazily(str, items)) == ["0", "10", "20", "30"]
