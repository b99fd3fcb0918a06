"""Embeddings on disk: rows in an order of their own, and room for those of several files."""

import numpy as np

from data_filters.dedup.vectors import Vectors, mapped


def test_rows_come_in_their_order():
    stored = np.arange(12, dtype=np.float16).reshape(6, 2)
    vectors = Vectors(stored, np.array([5, 0, 3]))
    assert len(vectors) == 3
    assert vectors.read(slice(0, 2)).tolist() == [[10, 11], [0, 1]]
    assert vectors.read(np.array([2])).tolist() == [[6, 7]]


def test_room_is_made_for_all_files_and_kept_on_disk(tmp_path):
    for name, shape in {"a": (3, 2), "none": (0, 0), "b": (1, 2)}.items():
        np.save(tmp_path / f"{name}.npy", np.ones(shape, np.float16))
    room = mapped(tmp_path / "all", [tmp_path / f"{name}.npy" for name in ("a", "none", "b")])
    room[:] = 7
    room.flush()
    assert np.load(tmp_path / "all").tolist() == [[7, 7]] * 4
    assert mapped(tmp_path / "nothing", []).shape == (0, 0)
