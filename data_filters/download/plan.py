"""Which rows make up which raw shard."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from data_filters.io.parquet import num_rows


class ShardPlan(BaseModel):
    """A raw shard: consecutive rows of one part of the kept metadata.

    Attributes:
        shard: Its number.
        file: The part of the kept metadata.
        start: First row.
        stop: One past the last row.
    """

    model_config = ConfigDict(frozen=True)

    shard: int
    file: Path
    start: int
    stop: int

    @property
    def stem(self) -> str:
        """Name of its files without extension."""
        return f"shard-{self.shard:06d}"

    @property
    def table(self) -> str:
        """Name of its table, which is written last, whole or not at all."""
        return f"{self.stem}.parquet"

    def is_done(self, folder: Path) -> bool:
        """Whether the folder holds the shard: its table, with all rows."""
        table = folder / self.table
        return table.exists() and num_rows(table) == self.stop - self.start


def plan_shards(files: Sequence[Path], *, rows_per_shard: int) -> list[ShardPlan]:
    """Cut each part into shards of up to `rows_per_shard` rows."""
    plans: list[ShardPlan] = []
    for file in files:
        total = num_rows(file)
        for start in range(0, total, rows_per_shard):
            stop = min(start + rows_per_shard, total)
            plans.append(ShardPlan(shard=len(plans), file=file, start=start, stop=stop))
    return plans
