"""Undecodable images are recorded once, by key, also over restarts."""

from types import SimpleNamespace

from franca.data.loader import MultiCropBatches, Quarantined
from franca.train.quarantine import RecordingBatches, read_quarantine


class Loader(MultiCropBatches):
    """Meets one bad image at each of the given steps, without any files."""

    quarantine = ()

    def __init__(self, bad):
        self.bad, self.quarantine = bad, []

    def __call__(self, steps):
        for step in steps:
            if step in self.bad:
                self.quarantine.append(Quarantined(self.bad[step], "truncated"))
            yield SimpleNamespace(step=step)


BAD = {1: "b", 3: "a"}


def test_images_are_recorded_as_they_are_met_in_the_order_of_keys(tmp_path):
    path = tmp_path / "quarantine.json"
    for batch in RecordingBatches(Loader(BAD), path)(range(4)):
        known = [row["key"] for row in read_quarantine(path)]
        assert known == [[], ["b"], ["b"], ["a", "b"]][batch.step]
    assert read_quarantine(path)[0] == {"key": "a", "reason": "truncated"}


def test_a_restart_forgets_nothing_and_repeats_nothing(tmp_path):
    path = tmp_path / "quarantine.json"
    list(RecordingBatches(Loader(BAD), path)(range(2)))
    list(RecordingBatches(Loader(BAD), path)(range(1, 4)))
    assert [row["key"] for row in read_quarantine(path)] == ["a", "b"]


def test_nothing_met_means_no_file(tmp_path):
    path = tmp_path / "quarantine.json"
    list(RecordingBatches(Loader({}), path)(range(4)))
    assert read_quarantine(path) == []
