"""A sequence whose items are made when asked for, because all together would not fit in memory."""

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")
Other = TypeVar("Other")


class Lazy(Sequence[Item]):
    """So many items, each made anew by `make(index)` whenever it is asked for."""

    def __init__(self, count: int, make: Callable[[int], Item]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        """Return the number of items."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        """Make one item, or a list of several."""
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return [self._make(one) for one in chosen]
        return self._make(chosen)


def lazily(change: Callable[[Item], Other], items: Sequence[Item]) -> Lazy[Other]:
    """Return the items changed, each when asked for."""
    return Lazy(len(items), lambda index: change(items[index]))
