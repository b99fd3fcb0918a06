"""What a worker does: places in files to a batch of crops. It knows no data set and no order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch.utils.data import Dataset

from franca.data.augment import NUM_GLOBAL_CROPS, MultiCrop
from franca.data.augment_draws import CropParams
from franca.data.collate import MultiCropBatch, stack_views
from franca.data.decode import UndecodableImageError, decode_rgb
from franca.data.shards import DamagedShardError, Location, Reader
from franca.randomness import numpy_generator


@dataclass(frozen=True, slots=True)
class Place:
    """One row of a batch: its position in the run, and where its image lies."""

    position: int
    location: Location


class Cropped(NamedTuple):
    """The crops of one image, and what is left to do to their colours (see `MultiCropBatch`)."""

    pixels: list[UInt8[np.ndarray, "_ _ 3"]]
    colours: tuple[CropParams, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A batch as it comes from a worker.

    Errors travel as values, because a traceback from another process would bury their one line.

    Attributes:
        batch: the crops; rows named in `undecodable` are blank and must be replaced.
        places: what was asked for, row by row.
        undecodable: the reason for each row whose image could not be decoded.
        damage: why the batch must not be used at all; None if it may.
    """

    batch: MultiCropBatch
    places: list[Place]
    undecodable: dict[int, str]
    damage: str | None

    def pin_memory(self) -> "Made":
        """Return the same in memory from which devices copy fast; called by the DataLoader."""
        return Made(self.batch.pin_memory(), self.places, self.undecodable, self.damage)


@dataclass(slots=True)
class DecodedCache:
    """Decoded images by key, until its memory is full: an epoch needs all, so none is evicted."""

    free_bytes: int
    images: dict[str, UInt8[np.ndarray, "_ _ 3"]] = field(default_factory=dict)

    def keep(self, key: str, image: UInt8[np.ndarray, "_ _ 3"]) -> None:
        """Keep an image if there is room."""
        if image.nbytes <= self.free_bytes:
            self.images[key] = image
            self.free_bytes -= image.nbytes


class BatchMaker(Dataset[Made]):
    """Turns places into crops; the crops of a place are drawn from (seed, its position).

    Args:
        augment: turns an image into its crops.
        seed: of the crops.
        cache_bytes: memory for decoded images.
    """

    def __init__(self, augment: MultiCrop, *, seed: int, cache_bytes: int) -> None:
        self._augment, self._seed = augment, seed
        self._cache = DecodedCache(cache_bytes)
        self._reader = Reader()

    def __getitem__(self, places: list[Place]) -> Made:
        images: list[Cropped] = []
        undecodable: dict[int, str] = {}
        damage = None
        for row, place in enumerate(places):
            try:
                images.append(self.crops(place))
                continue
            except UndecodableImageError as error:
                undecodable[row] = str(error)
            except DamagedShardError as error:
                damage = str(error)
            images.append(self._blank())
        return Made(self._batch(images, places), places, undecodable, damage)

    def crops(self, place: Place) -> Cropped:
        """Read, decode and crop the image at a place.

        Raises:
            DamagedShardError: its bytes are not those on record.
            UndecodableImageError: its bytes are no image.
        """
        image = self._image(place.location)
        drawn = self._augment.draw(
            image, rng=numpy_generator(self._seed, "augment", place.position)
        )
        return Cropped(self._augment.backend(image, drawn), self._later(drawn))

    def _later(self, drawn: Sequence[CropParams]) -> tuple[CropParams, ...]:
        return tuple(drawn) if self._augment.colours_later else ()

    def _blank(self) -> Cropped:
        rng = np.random.default_rng(0)  # what is drawn for a blank image is replaced with it
        blank = np.zeros((1, 1, 3), dtype=np.uint8)
        sizes = [view.size for view in self._augment.views]
        pixels = [np.zeros((size, size, 3), dtype=np.uint8) for size in sizes]
        return Cropped(pixels, self._later(self._augment.draw(blank, rng=rng)))

    def _image(self, location: Location) -> UInt8[np.ndarray, "height width 3"]:
        cached = self._cache.images.get(location.key)
        if cached is not None:
            return cached
        image = decode_rgb(self._reader.read(location).data)
        self._cache.keep(location.key, image)
        return image

    def _batch(self, images: Sequence[Cropped], places: Sequence[Place]) -> MultiCropBatch:
        local_crops = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        if self._augment.num_local_crops:
            local_crops = stack_views([image.pixels[NUM_GLOBAL_CROPS:] for image in images])
        return MultiCropBatch(
            global_crops=stack_views([image.pixels[:NUM_GLOBAL_CROPS] for image in images]),
            local_crops=local_crops,
            keys=tuple(place.location.key for place in places),
            colours=tuple(image.colours for image in images if image.colours),
        )


def use_one_thread(worker: int) -> None:
    """Keep OpenCV from starting threads; the DataLoader keeps torch from it."""
    del worker  # all alike
    cv2.setNumThreads(1)
