"""Reading the weights of others: whatever goes wrong is one line that names the file."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def weights_of(model: str, file: Path | None) -> Iterator[None]:
    """Guard the reading of a file of weights; without one, nothing is guarded.

    Args:
        model: what the weights should be of, "timm:vit_small_patch14_dinov2".
        file: where they are.

    Raises:
        ValueError: the file is damaged, or holds the weights of another model.
    """
    try:
        yield
    except (
        RuntimeError,
        OSError,
        EOFError,
        KeyError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as e:
        if file is None:
            raise
        reason = " ".join(str(e).split())
        raise ValueError(f"{file}: not the weights of {model}: {reason}") from e
