"""What a stage trains on."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow.parquet as pq

from franca.data.shards import Location, ShardDataset


@runtime_checkable
class ImageSource(Protocol):
    """What the loader asks of a data set."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def locate(self, sample: int) -> Location:
        """Return where image number `sample` lies."""
        ...


def highres_images(
    highres: Path, pretraining: Path, *, image_set: str | None = None
) -> ShardDataset:
    """Return what fine-tuning and RASA train on: the packed data sets, or all images if none are.

    Args:
        highres: published folder of `pack_highres`, whose index may be empty.
        pretraining: published folder of `pack_shards`.
        image_set: only this data set; None: all.

    Raises:
        FileNotFoundError: no folder of shards, or a shard is missing.
        ValueError: shards that are not what their index says, or no such set.
    """
    index = highres / "index.parquet"
    if image_set is None and index.is_file() and pq.read_metadata(index).num_rows == 0:
        return ShardDataset(pretraining)
    return ShardDataset(highres, image_set=image_set)
