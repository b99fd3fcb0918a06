"""The published index of evaluation images: `deduplicate` writes it, leaks are looked for in it.

Written:

    evaluation_index.parquet   signatures of every evaluation image (`records.EVALUATION_SIGNATURE`)
    evaluation_index.npy       their embeddings, if `deduplicate.semantic` asks for them
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from data_filters.config import Deduplicate
from data_filters.dedup.leakage import Evaluation, LeakFinder
from data_filters.dedup.vectors import Embeddings
from data_filters.io.files import write_array
from data_filters.io.parquet import write_rows
from data_filters.records import EVALUATION_SIGNATURE

_TABLE: Final = "evaluation_index.parquet"
_EMBEDDINGS: Final = "evaluation_index.npy"


def write_index(
    folder: Path, rows: Iterable[Mapping[str, Any]], embeddings: Embeddings | None
) -> None:
    """Write the rows of the table and, where there are any, the embedding of each."""
    write_rows(folder / _TABLE, EVALUATION_SIGNATURE, rows)
    if embeddings is not None:
        write_array(folder / _EMBEDDINGS, embeddings)


def read_index(folder: Path, cfg: Deduplicate) -> Evaluation:
    """Read what `write_index` has written under the same section of the parameters."""
    embeddings = None if cfg.semantic is None else np.load(folder / _EMBEDDINGS)
    table = pq.read_table(folder / _TABLE)
    return Evaluation.of(table, embeddings, mirrored=cfg.evaluation_mirrored)


def leak_finder(evaluation: Evaluation, cfg: Deduplicate) -> LeakFinder:
    """Look for leaks as section `deduplicate` says."""
    return LeakFinder(
        evaluation,
        radius=cfg.evaluation_radius,
        min_contrast=cfg.min_contrast,
        min_cosine=None if cfg.semantic is None else cfg.semantic.evaluation_min_cosine,
    )
