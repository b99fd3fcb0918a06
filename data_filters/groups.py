"""Groups of rows: what later stages work through independently, a job each."""

from pathlib import Path
from typing import Final

_PREFIX: Final = "group-"


def group_names(count: int) -> list[str]:
    """Name the groups: `group-000`, ..."""
    return [f"{_PREFIX}{number:03d}" for number in range(count)]


def groups_in(folder: Path) -> list[str]:
    """Name the groups that a published folder holds, in order."""
    return sorted((path.name for path in folder.glob(f"{_PREFIX}*")), key=group_number)


def group_number(name: str) -> int:
    """Return the number in a group's name."""
    return int(name.removeprefix(_PREFIX))
