"""States on disk: whole or absent, the two newest kept, damage falls back to the state before."""

import json
import logging
import resource

import pytest
import torch

from franca.train.checkpoint import StateWriter, newest_step, open_state, read_state


def save_state(folder, *, step, tensors):
    with StateWriter(folder) as states:
        states.save(step, tensors)
    return folder / f"step-{step:07d}"


def load_newest_state(folder):
    step = newest_step(folder)
    return None if step is None else (step, open_state(folder, step))


def tensors(value):
    return {"student.weight": torch.full((4, 3), float(value)), "optimizer.step": torch.tensor(7.0)}


def test_the_newest_state_comes_back_bit_for_bit(tmp_path):
    saved = {"a": torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).t()}
    save_state(tmp_path, step=3, tensors=saved)
    step, loaded = load_newest_state(tmp_path)
    assert step == 3
    assert torch.equal(loaded["a"], saved["a"])


def test_only_the_two_newest_are_kept(tmp_path):
    for step in (2, 4, 9, 10):
        save_state(tmp_path, step=step, tensors=tensors(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000009", "step-0000010"]


def test_a_state_that_is_there_is_not_written_again(tmp_path):
    save_state(tmp_path, step=3, tensors=tensors(1))
    save_state(tmp_path, step=3, tensors=tensors(2))
    assert torch.equal(load_newest_state(tmp_path)[1]["student.weight"], torch.ones(4, 3))


@pytest.mark.parametrize("damage", ["truncated", "altered", "no state", "torn state"])
def test_a_damaged_newest_state_falls_back_with_a_logged_line(tmp_path, caplog, damage):
    save_state(tmp_path, step=1, tensors=tensors(1))
    newest = save_state(tmp_path, step=2, tensors=tensors(2))
    content = (newest / "tensors.safetensors").read_bytes()
    if damage == "truncated":
        (newest / "tensors.safetensors").write_bytes(content[:-9])
    elif damage == "altered":
        (newest / "tensors.safetensors").write_bytes(content[:-1] + b"\x7f")
    elif damage == "no state":
        (newest / "state.json").unlink()
    else:
        (newest / "state.json").write_text('{"step": 2, "sha')
    with caplog.at_level(logging.WARNING):
        step, loaded = load_newest_state(tmp_path)
    assert step == 1
    assert loaded["student.weight"][0, 0] == 1
    assert "step-0000002" in caplog.text
    assert not newest.exists()


def test_leftovers_of_a_killed_save_are_ignored(tmp_path):
    save_state(tmp_path, step=1, tensors=tensors(1))
    (tmp_path / ".step-0000002.partial").mkdir()
    (tmp_path / ".step-0000002.partial" / "tensors.safetensors").write_bytes(b"half")
    assert load_newest_state(tmp_path)[0] == 1
    assert save_state(tmp_path, step=2, tensors=tensors(2)).name == "step-0000002"
    assert load_newest_state(tmp_path)[0] == 2


def test_nothing_saved_means_none(tmp_path):
    assert load_newest_state(tmp_path / "absent") is None


def test_an_unusable_state_names_the_folder_and_the_remedy(tmp_path):
    folder = save_state(tmp_path, step=1, tensors=tensors(1))
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(
        json.dumps({**state, "sha256": {"tensors.safetensors": "0" * 64}})
    )
    with pytest.raises(ValueError, match=r"step-0000001 cannot be used .*: remove the folder"):
        read_state(folder)


def halves(step):
    """The rows of a tensor as two processes have them, and what only the first has."""
    whole = torch.arange(12.0).reshape(4, 3) + step
    return {"weight": whole[:3], "moment": torch.ones(2)}, {"weight": whole[3:]}


def test_the_parts_of_several_processes_are_one_state(tmp_path):
    first, second = halves(5)
    with StateWriter(tmp_path, rank=1, size=2) as one, StateWriter(tmp_path, rank=0, size=2) as two:
        one.save(5, second)
        two.save(5, first)
    state = open_state(tmp_path, newest_step(tmp_path))
    assert sorted(state) == ["moment", "weight"]
    assert torch.equal(state["weight"], torch.arange(12.0).reshape(4, 3) + 5)
    assert torch.equal(state["moment"], torch.ones(2))


def test_no_state_appears_before_all_processes_have_written(tmp_path):
    first, _ = halves(5)

    def die():
        with StateWriter(tmp_path, rank=0, size=2) as states:
            states.save(5, first)
            raise RuntimeError("the other died")

    with pytest.raises(RuntimeError, match="the other died"):
        die()
    assert newest_step(tmp_path) is None


def test_training_may_change_its_tensors_while_they_are_written(tmp_path):
    weight = torch.zeros(1000, 100)
    with StateWriter(tmp_path) as states:
        states.save(1, {"weight": weight})
        weight.add_(1)
    assert torch.equal(open_state(tmp_path, 1)["weight"], torch.zeros(1000, 100))


def test_what_cannot_be_written_is_told_to_the_training(tmp_path):
    (tmp_path / "states").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="states"), StateWriter(tmp_path / "states") as states:
        states.save(1, tensors(1))


def test_a_disk_that_takes_no_more_is_told_in_one_line(tmp_path):
    states, usual = StateWriter(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, usual[1]))
    try:
        states.save(1, tensors(1))
        with pytest.raises(OSError, match=r"tensors\.safetensors cannot be written .*: make room"):
            states.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert newest_step(tmp_path) is None
