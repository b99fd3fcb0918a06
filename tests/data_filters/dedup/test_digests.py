"""Digests: equal, ordered and spelt as their texts are, zero bytes included."""

import hashlib

import numpy as np
import pyarrow as pa

from data_filters.dedup.digests import to_digests, to_texts

TEXTS = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(50)]
AWKWARD = ["00" * 32, "00" * 15 + "01" + "00" * 16, "01" + "00" * 31, "ff" * 15 + "00" * 17]


def test_there_and_back():
    digests = to_digests(pa.chunked_array([TEXTS, AWKWARD]))
    assert digests.dtype == "S16"
    assert to_texts(digests) == [text[:32] for text in TEXTS + AWKWARD]
    assert to_texts(digests[::2]) == [text[:32] for text in (TEXTS + AWKWARD)[::2]]
    assert to_texts(to_digests(pa.array([], pa.string()))) == []


def test_order_and_equality_are_those_of_the_texts():
    both = TEXTS + AWKWARD + TEXTS[:3]
    digests = to_digests(pa.array(both))
    assert np.argsort(digests, kind="stable").tolist() == sorted(
        range(len(both)), key=lambda n: both[n][:32]
    )
    assert len(np.unique(digests)) == len(TEXTS) + len(AWKWARD)
