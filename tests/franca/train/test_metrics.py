"""Metrics rows: exactly one per logged step, also across a kill and a restart."""

import dataclasses
import json
import struct
import time

import pytest
from tensorboardX.proto.event_pb2 import Event

from franca.train import metrics
from franca.train.metrics import Meter, MetricsFile, RunLog, SpeedReport
from tests.franca.train.recipes import ALONE


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_rows_from_the_resumed_step_on_are_redone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file_of_rows = MetricsFile(path, first_step=0)
    for step in (10, 20, 30):
        file_of_rows.write(step, {"loss": 1.0 / step})
    with path.open("a") as file:
        file.write('{"step": 40, "lo')  # torn by a kill
    resumed = MetricsFile(path, first_step=30)
    assert steps(path) == [10, 20]
    resumed.write(30, {"loss": 0.5})
    assert json.loads(path.read_text().splitlines()[-1]) == {"step": 30, "loss": 0.5}


def test_a_new_run_starts_an_empty_file(tmp_path):
    path = tmp_path / "work" / "metrics.jsonl"
    MetricsFile(path, first_step=0)
    assert path.read_text() == ""


def test_rates_are_of_all_processes_and_of_the_peak_of_all_gpus(monkeypatch):
    """Two steps of 8 images in 4 s, of which 1 s was waited, on two GPUs of 1 GFLOP/s."""
    now = iter([0.0, 10.0, 10.5, 11.0, 11.5, 4.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now, 99.0))
    monkeypatch.setattr(metrics, "peak_of", lambda _: 1e9)
    world = dataclasses.replace(ALONE, size=2)
    meter = Meter(batch_size=8, world=world, flops_per_image=2e8)
    for _ in zip(range(2), meter.waiting(range(9)), strict=False):
        meter.count_step()
    report = meter.lap()
    assert report.images_per_second == 2 * 8 / 4
    assert report.waiting_share == 1 / 4
    assert report.flop_utilisation == pytest.approx(4 * 2e8 / 2e9)


def test_a_report_counts_images_and_waiting():
    meter = Meter(batch_size=8, world=ALONE, flops_per_image=1e9)

    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    for _ in meter.waiting(slow()):
        meter.count_step()
    report = meter.lap()
    assert 0 < report.images_per_second < 24 / 0.06
    assert 0.5 < report.waiting_share <= 1  # there was nothing else to do
    assert report.memory_gigabytes > 0.01
    assert report.flop_utilisation is None  # no peak is known of a CPU
    assert "MFU" not in report.text
    assert meter.lap().images_per_second == 0


def test_tensorboard_reads_what_was_logged(tmp_path):
    report = SpeedReport(
        images_per_second=50.0, waiting_share=0.25, memory_gigabytes=1.5, flop_utilisation=None
    )
    with RunLog(tmp_path, logs=tmp_path / "logs", first_step=0, writes=True) as log:
        for step in (0, 10):
            log.write(step, {"loss": 2.0 + step})
            log.write_speed(step, report)
    assert steps(tmp_path / "metrics.jsonl") == steps(tmp_path / "logs/speed.jsonl") == [0, 10]
    found = {}
    for file in (tmp_path / "logs").glob("events.out.tfevents.*"):
        for event in scalars(file):
            found[event.tag] = event.simple_value
    assert found["train/loss"] == 12.0
    assert found["speed/waiting_share"] == 0.25
    assert "speed/flop_utilisation" not in found


def scalars(file):
    """The scalars of an event file, whose records are length, checksum, event, checksum."""
    content, at = file.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        yield from event.summary.value
        at += length + 16


def test_other_processes_write_nothing(tmp_path):
    with RunLog(tmp_path, logs=tmp_path / "logs", first_step=0, writes=False) as log:
        log.write(0, {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []
