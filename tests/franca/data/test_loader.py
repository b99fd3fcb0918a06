"""Batches: a function of (seed, step), whatever the workers, the ranks, the start and the cache."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from franca.config.augment import Augment, Loading
from franca.data.augment import MultiCrop, build_augmentation
from franca.data.augment_device import coloured
from franca.data.augment_draws import View
from franca.data.augment_opencv import apply_opencv, cut
from franca.data.augment_torchvision import apply_torchvision
from franca.data.decode import UndecodableImageError
from franca.data.loader import MultiCropBatches, build_batches
from franca.data.order import EpochOrder
from franca.data.shards import DamagedShardError, Location, ShardDataset
from franca.randomness import numpy_generator

VIEW = View(
    size=16, scale=(0.3, 1.0), flip=0.5, jitter=0.8, strengths=(0.4, 0.4, 0.2, 0.1),
    grayscale=0.2, blur=0.5, blur_kernel=3, blur_sigma=(0.1, 1.0), solarize=0.2,
    solarize_threshold=128,
)  # fmt: skip
LOCAL = View(**{name: getattr(VIEW, name) for name in VIEW.__dataclass_fields__} | {"size": 8})
AUGMENT = MultiCrop(views=(VIEW, VIEW, LOCAL, LOCAL, LOCAL), backend=apply_torchvision)


def cut_only(image, crops):
    return [cut(image, crop) for crop in crops]


def batches(root, **options):
    source = ShardDataset(root) if isinstance(root, Path) else root
    settings = {"augment": AUGMENT, "global_batch_size": 6, "seed": 0, "max_undecodable": 0.5}
    return MultiCropBatches(source, **settings | options)


class Listed:
    """Images at any places."""

    def __init__(self, places):
        self.locate, self._number = places.__getitem__, len(places)

    def __len__(self):
        return self._number


def assert_equal(first, second):
    assert first.keys == second.keys
    assert torch.equal(first.global_crops, second.global_crops)
    assert torch.equal(first.local_crops, second.local_crops)


def test_a_batch_is_order_then_decode_then_crop_then_stack(packed):
    """The loop form of the whole pipeline."""
    dataset = ShardDataset(packed)
    (batch,) = batches(packed)(range(3, 4))
    positions = range(3 * 6, 4 * 6)
    samples = [EpochOrder(size=20, seed=0).sample_at(position) for position in positions]
    assert batch.keys == tuple(dataset.locate(sample).key for sample in samples)
    for i, (position, sample) in enumerate(zip(positions, samples, strict=True)):
        rng = numpy_generator(0, "augment", position)
        crops = AUGMENT(dataset.read(sample).decode(), rng=rng)
        for view in range(5):
            rows = batch.global_crops if view < 2 else batch.local_crops
            row = rows[(view if view < 2 else view - 2) * 6 + i]
            assert np.array_equal(row.permute(1, 2, 0), crops[view])


def test_each_epoch_holds_each_image_once(packed):
    keys = [key for batch in batches(packed)(range(10)) for key in batch.keys]
    for epoch in range(3):
        assert sorted(keys[epoch * 20 : (epoch + 1) * 20]) == [f"{i:04d}" for i in range(20)]


@pytest.mark.parametrize("start", [1, 4, 7])
def test_any_start_continues_the_same_run(packed, start):
    whole = list(batches(packed)(range(8)))
    for resumed, expected in zip(batches(packed)(range(start, 8)), whole[start:], strict=True):
        assert_equal(resumed, expected)


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_same_batch(packed, world_size):
    (whole,) = batches(packed)(range(2, 3))
    parts = [
        next(batches(packed, rank=rank, world_size=world_size)(range(2, 3)))
        for rank in range(world_size)
    ]
    assert whole.keys == tuple(key for part in parts for key in part.keys)
    for rows in ("global_crops", "local_crops"):
        views = [getattr(part, rows).unflatten(0, (-1, 6 // world_size)) for part in parts]
        assert torch.equal(torch.cat(views, dim=1).flatten(0, 1), getattr(whole, rows))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(make_shards, make_jpeg, workers):
    """Including an image that cannot be decoded, a resumed start, and the process's own draws."""
    images = {f"{i:02d}": make_jpeg(seed=i) for i in range(11)} | {"05": b"<html>"}
    root = make_shards(images)
    alone, helped = batches(root), batches(root, workers=workers, cache_bytes=10**6)
    before = torch.random.get_rng_state()
    for mine, theirs in zip(alone(range(1, 6)), helped(range(1, 6)), strict=True):
        assert_equal(mine, theirs)
    assert alone.quarantine == helped.quarantine
    assert len(alone.quarantine) == 1
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_damaged_shard_is_one_line_even_from_a_worker(packed):
    os.truncate(packed / "shard-000002.tar", 5000)
    os.truncate(packed / "shard-000002.tar", 20480)  # the size is right, the bytes are not
    for workers in (0, 1):
        with pytest.raises(DamagedShardError, match=r"shard-000002\.tar: .*sha256") as caught:
            list(batches(packed, workers=workers)(range(6)))
        assert "\n" not in str(caught.value)


def test_leaving_early_leaves_no_worker_behind(packed):
    before = multiprocessing.active_children()
    stream = batches(packed, workers=1)(range(50))
    next(stream)
    (worker,) = set(multiprocessing.active_children()) - set(before)
    stream.close()
    gc.collect()
    worker.join(timeout=60)
    assert not worker.is_alive()


def test_an_undecodable_image_is_replaced_by_the_next_that_decodes(make_shards, make_jpeg):
    images = {f"{i:02d}": make_jpeg(seed=i) for i in range(12)}
    order = EpochOrder(size=12, seed=0).samples_between(0, 12)
    first, second = (f"{sample:02d}" for sample in order[2:4])
    root = make_shards(images | {first: b"<html>", second: images[second][:200]})
    made = batches(root)
    (batch,) = made(range(1))
    assert batch.keys[2] == batch.keys[3] == batch.keys[4] == f"{order[4]:02d}"
    expected = AUGMENT(
        ShardDataset(root).read(int(order[4])).decode(), rng=numpy_generator(0, "augment", 2)
    )
    for view in range(2):
        assert np.array_equal(batch.global_crops[view * 6 + 2].permute(1, 2, 0), expected[view])
    for view in range(3):
        assert np.array_equal(batch.local_crops[view * 6 + 2].permute(1, 2, 0), expected[2 + view])
    reasons = {item.key: item.reason for item in made.quarantine}
    assert reasons == {first: "not an image", second: "damaged image: Truncated File Read"}


@pytest.mark.parametrize("workers", [0, 2])
def test_colours_left_to_the_device_travel_with_their_crops(make_shards, make_jpeg, workers):
    images = {f"{i:02d}": make_jpeg(seed=i) for i in range(20)}
    root = make_shards(images | {"05": b"no image", "13": b"<html>"})
    here = MultiCrop(views=AUGMENT.views, backend=partial(apply_opencv, approximate_colour=False))
    later = MultiCrop(views=AUGMENT.views, backend=cut_only, colours_later=True)
    done = list(batches(root, augment=here)(range(3)))
    for batch, expected in zip(
        batches(root, augment=later, workers=workers)(range(3)), done, strict=True
    ):
        assert batch.keys == expected.keys
        assert len(batch.colours) == 6
        ours = coloured(batch)
        for crops, wanted in (
            (ours.global_crops, expected.global_crops),
            (ours.local_crops, expected.local_crops),
        ):
            off = (crops.int() - wanted.int()).abs()
            assert (off <= 2).float().mean() > 0.97  # small crops of noise; hue steps over
        part = coloured(batch.of_images(range(2, 4)))
        assert torch.equal(part.local_crops, ours.of_images(range(2, 4)).local_crops)


def test_too_many_undecodable_images_stop_the_run(make_shards, make_jpeg):
    images = {f"{i:02d}": make_jpeg(seed=i) if i % 4 else b"<html>" for i in range(20)}
    root = make_shards(images)
    assert len(list(batches(root, max_undecodable=0.25)(range(8)))) == 8
    with pytest.raises(
        UndecodableImageError, match=r"5 of 20 images .* max_undecodable = 0\.2 .*tar: \d\d: not"
    ):
        list(batches(root, max_undecodable=0.2)(range(8)))


def test_a_set_without_any_image_ends_with_an_error(make_shards):
    """An image that comes several times counts once: the threshold alone might not end this."""
    source = Listed([ShardDataset(make_shards({"a": b"<html>"})).locate(0)] * 4)
    with pytest.raises(UndecodableImageError, match="no image of the data set can be"):
        list(batches(source)(range(1)))


def test_the_cache_changes_no_byte_and_saves_the_reading(tmp_path, make_jpeg):
    for i in range(6):
        (tmp_path / f"{i}.jpg").write_bytes(make_jpeg(seed=i))
    paths = sorted(tmp_path.iterdir())
    source = Listed([Location(key=path.name, path=path) for path in paths])
    expected = list(batches(source)(range(3)))
    cached = batches(source, cache_bytes=6 * 40 * 48 * 3)
    stream = cached(range(3))
    assert_equal(next(stream), expected[0])
    for path in paths:
        path.unlink()
    for batch, before in zip(stream, expected[1:], strict=True):
        assert_equal(batch, before)


def test_the_cache_keeps_to_its_memory(packed):
    limited = batches(packed, cache_bytes=50_000)
    list(limited(range(4)))
    images = limited._maker._cache.images.values()
    assert 40_000 < sum(image.nbytes for image in images) <= 50_000


def test_waiting_is_reported(packed):
    made = batches(packed)
    list(made(range(2)))
    assert made.seconds_waited > 0


def test_no_local_crops_is_an_empty_tensor(packed):
    (batch,) = batches(packed, augment=MultiCrop(views=(VIEW, VIEW), backend=apply_torchvision))(
        range(1)
    )
    assert batch.global_crops.shape == (12, 3, 16, 16)
    assert len(batch.local_crops) == 0


def test_a_batch_that_ranks_cannot_share_is_refused(packed):
    with pytest.raises(ValueError, match="6 is no multiple of the 4 processes"):
        batches(packed, world_size=4)


def test_build_batches_reads_both_sections(packed):
    augment = Augment.model_validate(
        {
            "global_crops": {"size": 16, "scale": [0.3, 1.0]},
            "local_crops": {"size": 14, "scale": [0.3, 1.0], "count": 3},
            "flip": 0.5, "grayscale": 0.2,
            "jitter": {
                "probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2,
                "hue": 0.1,
            },
            "blur": {
                "kernel_size": 3, "sigma": [0.1, 1.0], "first_global": 0.5, "second_global": 0.5,
                "local": 0.5, "legacy": False,
            },
            "solarize": {"probability": 0.2, "threshold": 128},
            "backend": "torchvision", "approximate_colour": False,
        }
    )  # fmt: skip
    loading = Loading(workers=0, prefetch=1, cache_megabytes=1, max_undecodable=0.1)
    source = ShardDataset(packed)
    built = build_batches(source, augment=augment, loading=loading, global_batch_size=6, seed=0)
    by_hand = batches(source, augment=build_augmentation(augment))
    assert_equal(next(built(range(1))), next(by_hand(range(1))))
    assert built._maker._cache.free_bytes < 2**20


SIGNALLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
from tests.franca.data.test_loader import assert_equal, batches

signal.signal(signal.SIGTERM, lambda *_: None)  # the process that trains takes note
root = Path(sys.argv[1])
stream = batches(root, workers=1)(range(8))
received = [next(stream)]
(worker,) = multiprocessing.active_children()
forkserver = int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1])
for process in (worker.pid, forkserver, os.getpid()):
    os.kill(process, signal.SIGTERM)
received += stream
for first, second in zip(received, batches(root)(range(8)), strict=True):
    assert_equal(first, second)
"""


@pytest.mark.slow
def test_a_signal_to_all_processes_of_a_job_ends_no_worker(packed):
    """As a queue sends it; in a process of its own, whose forkserver nothing else has started."""
    command = [sys.executable, "-c", SIGNALLED, str(packed)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


INTERRUPTED = """
import signal, sys
from pathlib import Path
from tests.franca.data.test_loader import batches

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
stream = batches(Path(sys.argv[1]), workers=1)(range(8))
print("waiting", flush=True)
try:
    next(stream)  # its forkserver has yet to start and to import what workers need
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.slow
def test_an_interrupt_while_workers_start_ends_them_all_without_a_word(packed):
    """Ctrl-C goes to every process of a terminal's job."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(packed)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)  # ends when no process has the pipes any more
    assert (process.returncode, errors) == (130, "")
