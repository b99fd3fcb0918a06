"""Reading the weights of others: whatever goes wrong is one line that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Final

_MAX_REASON: Final = 200


@contextmanager
def reading(file: Path, *, of: str) -> Iterator[None]:
    """Guard the reading of a file whose digest is right: then the digest was of a damaged file.

    Args:
        file: What is read.
        of: What it should hold, "the weights of ViT-B-32".

    Raises:
        ValueError: It is damaged, or holds something else.
    """
    try:
        yield
    except (FileNotFoundError, ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle may end in any
        text = str(error).partition("Weights only load failed")[0]  # torch's advice: to trust it
        told = f"{type(error).__name__}: {text}".rstrip(": ")
        reason = shorten(told, _MAX_REASON, placeholder=" …")
        raise ValueError(
            f"{file}: not readable as {of} ({reason}); fetch it again or name another, and "
            "change its sha256 in the parameters"
        ) from error
