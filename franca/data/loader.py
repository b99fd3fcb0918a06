"""Batches of crops: the batch of a step is a function of (seed, step) and of nothing else.

The main process decides what a batch holds (order, places in the shards) and sends each worker the
places of a whole batch. Workers know neither the data set nor each other, so their number, the
world size and restarts change no byte.
"""

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader

from franca.config.augment import Augment, Loading
from franca.data.augment import MultiCrop, build_augmentation
from franca.data.collate import MultiCropBatch, write_image
from franca.data.datasets import ImageSource
from franca.data.decode import UndecodableImageError
from franca.data.order import EpochOrder
from franca.data.shards import DamagedShardError, Location
from franca.data.worker import BatchMaker, Cropped, Made, Place, use_one_thread

# What a queue sends to all processes of a job that is to save and end, or a terminal with Ctrl-C.
_FOR_TRAINING_ALONE = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_FEWEST_JUDGED = 10_000  # images before which one bad file says nothing about the share of them


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An image that could not be decoded, and why."""

    key: str
    reason: str


class MultiCropBatches:
    """The batches of a run, for any range of steps.

    Step `s` holds the samples at the positions [s * global_batch_size, (s + 1) * global_batch_size)
    of the run's order, of which each rank makes its contiguous share. The crops of a sample are
    drawn from (seed, position). A sample that cannot be decoded is recorded and replaced by the
    next one in the order that can.

    Args:
        source: the images.
        augment: turns an image into its crops.
        global_batch_size: images a step, over all ranks.
        seed: of the order and of the crops.
        rank: of this process.
        world_size: number of processes.
        workers: processes that decode and crop; 0 does it here.
        prefetch: batches that each worker prepares ahead.
        cache_bytes: memory for decoded images, over all workers; filled first come, first served.
        max_undecodable: share of the images met (of 10,000 or the data set at least) beyond which
            undecodable ones stop the run.
        pin_memory: whether batches come in memory from which devices copy fast.

    Raises:
        ValueError: an empty source, or a batch that the ranks cannot share evenly.
    """

    def __init__(
        self,
        source: ImageSource,
        *,
        augment: MultiCrop,
        global_batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        prefetch: int = 2,
        cache_bytes: int = 0,
        max_undecodable: float = 0.0,
        pin_memory: bool = False,
    ) -> None:
        if global_batch_size % world_size:
            raise ValueError(
                f"global_batch_size {global_batch_size} is no multiple of the {world_size} "
                "processes; change one of them"
            )
        self._source = source
        self._order = EpochOrder(size=len(source), seed=seed)
        self._batch_size = global_batch_size // world_size
        self._global_batch_size, self._rank = global_batch_size, rank
        self._workers, self._prefetch, self._pin_memory = workers, prefetch, pin_memory
        self._max_undecodable = max_undecodable
        share = cache_bytes // max(1, workers)
        self._maker = BatchMaker(augment, seed=seed, cache_bytes=share)
        self._undecodable: dict[str, str] = {}
        self._num_met = 0
        self.seconds_waited = 0.0

    @property
    def quarantine(self) -> list[Quarantined]:
        """The images that could not be decoded so far, by key."""
        return [Quarantined(key, reason) for key, reason in sorted(self._undecodable.items())]

    def __call__(self, steps: range) -> Iterator[MultiCropBatch]:
        """Yield this rank's batch of each step; `seconds_waited` grows by what the caller waits.

        Raises:
            DamagedShardError: bytes that are not those on record.
            UndecodableImageError: too many images cannot be decoded.
        """
        others = set(multiprocessing.active_children())
        workers: set[BaseProcess] = set()
        made: Iterator[Made] | None = None
        try:
            with _interrupts_put_off():  # workers that are not known could not be ended
                made = iter(self._make(self._places(step) for step in steps))
                workers = set(multiprocessing.active_children()) - others
            for _ in steps:
                started = time.perf_counter()
                batch = self._repaired(next(made))
                self.seconds_waited += time.perf_counter() - started
                yield batch
        finally:
            made = None  # the DataLoader asks its workers to end, then insists with SIGTERM,
            for worker in workers:
                worker.kill()  # to which they are deaf

    def _places(self, step: int) -> list[Place]:
        start = step * self._global_batch_size + self._rank * self._batch_size
        samples = self._order.samples_between(start, start + self._batch_size)
        return [
            Place(start + i, self._source.locate(int(sample))) for i, sample in enumerate(samples)
        ]

    def _make(self, requests: Iterable[list[Place]]) -> Iterable[Made]:
        if self._workers == 0:
            made = map(self._maker.__getitem__, requests)
            return map(Made.pin_memory, made) if self._pin_memory else made
        # Not fork: it would copy locks that torch's threads hold just then.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([BatchMaker.__module__])
        _start_deaf_forkserver()
        return DataLoader(
            self._maker,
            batch_size=None,
            sampler=requests,
            num_workers=self._workers,
            prefetch_factor=self._prefetch,
            collate_fn=_as_it_is,
            worker_init_fn=use_one_thread,
            multiprocessing_context=context,
            generator=torch.Generator(),  # or it would advance the process's own
            pin_memory=self._pin_memory,
        )

    def _repaired(self, made: Made) -> MultiCropBatch:
        """Replace what could not be decoded, in place; refuse when there is too much of it."""
        if made.damage is not None:
            raise DamagedShardError(made.damage)
        keys, colours = list(made.batch.keys), list(made.batch.colours)
        for row, reason in made.undecodable.items():
            self._record(made.places[row].location, reason)
            keys[row], image = self._substitute(made.places[row])
            write_image(made.batch, image.pixels, image=row)
            if image.colours:
                colours[row] = image.colours
        self._num_met += len(keys)
        return replace(made.batch, keys=tuple(keys), colours=tuple(colours))

    def _substitute(self, place: Place) -> tuple[str, Cropped]:
        """Return the next image that can be decoded, cropped as the one at the place would be."""
        for position in range(place.position + 1, place.position + 2 * len(self._source)):
            location = self._source.locate(self._order.sample_at(position))
            try:
                return location.key, self._maker.crops(Place(place.position, location))
            except UndecodableImageError as error:
                self._record(location, str(error))
        raise UndecodableImageError(f"{location.path}: no image of the data set can be decoded")

    def _record(self, location: Location, reason: str) -> None:
        self._undecodable[location.key] = reason
        judged = min(max(self._num_met, _FEWEST_JUDGED), len(self._source))
        if len(self._undecodable) > self._max_undecodable * judged:
            raise UndecodableImageError(
                f"{len(self._undecodable)} of {judged} images cannot be decoded, more than "
                f"max_undecodable = {self._max_undecodable} allows; "
                f"the last: {location.path}: {location.key}: {reason}"
            )


def _start_deaf_forkserver() -> None:
    """Start what workers are forked from; what it blocks they block, so that they do not die early.

    They end when the loop over their batches ends, or with the process that they work for.
    """
    multiprocessing.resource_tracker.ensure_running()  # which unblocks SIGTERM when it starts
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_TRAINING_ALONE)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Let Ctrl-C take effect at the end.

    Blocking the signal would not do: another thread receives it, and the main one raises.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts never reach it
        return
    received: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    for number in received[:1]:
        signal.raise_signal(number)


def build_batches(
    source: ImageSource,
    *,
    augment: Augment,
    loading: Loading,
    global_batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> MultiCropBatches:
    """Build the batches that two sections of the parameters describe."""
    return MultiCropBatches(
        source,
        augment=build_augmentation(augment),
        global_batch_size=global_batch_size,
        seed=seed,
        rank=rank,
        world_size=world_size,
        workers=loading.workers,
        prefetch=loading.prefetch,
        cache_bytes=loading.cache_megabytes * 2**20,
        max_undecodable=loading.max_undecodable,
        pin_memory=pin_memory,
    )


def _as_it_is(made: Any) -> Any:
    return made
