"""Digests as fixed numbers of bytes: a quarter of the memory of their text in Arrow."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_filters.records import KEY_LENGTH

Digests = npt.NDArray[np.bytes_]
"""The first 128 bits of digests, 16 bytes each, [digests]; ordered as their texts are."""

WIDTH: Final = KEY_LENGTH // 2


def to_digests(texts: pa.ChunkedArray | pa.Array) -> Digests:
    """Cut hexadecimal digests of one length, at least 32 digits, to their first 128 bits."""
    data = np.frombuffer(bytes.fromhex("".join(texts.to_pylist())), np.uint8)
    whole = data.reshape(len(texts), len(data) // max(len(texts), 1))
    return np.ascontiguousarray(whole[:, :WIDTH]).reshape(-1).view(f"S{WIDTH}")


def to_texts(digests: Digests) -> Sequence[str]:
    """Spell 128 bits as 32 hexadecimal digits each."""
    text = np.ascontiguousarray(digests).tobytes().hex()
    return [text[start : start + KEY_LENGTH] for start in range(0, len(text), KEY_LENGTH)]
