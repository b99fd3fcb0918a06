"""What shifted images are held against: classes by name or number, or several right ones."""

import json

import pytest
import torch

from franca.eval.datasets import FolderImages
from franca.eval.inputs.probe import AcceptedLabels, keep_heads, known_classes, probe_inputs
from tests.franca.eval.worlds import write_folder


def test_classes_are_found_by_name_or_by_number():
    known = ("n01", "n02", "n03")
    assert known_classes(("n03", "n01"), known).tolist() == [2, 0]
    assert known_classes(("0", "2"), known).tolist() == [0, 2]  # ImageNet-V2
    with pytest.raises(ValueError, match=r"class 'n09' .* among the 3 .* \('n01', …\)"):
        known_classes(("n01", "n09"), known)
    with pytest.raises(ValueError, match="class '3'"):
        known_classes(("0", "3"), known)


@pytest.fixture
def folder(tmp_path):
    """Files whose names are in another order than their classes."""
    write_folder(tmp_path, "val", {"n01": 2, "n02": 2})
    for old, new in (("n01/0", "4"), ("n01/1", "1"), ("n02/0", "2"), ("n02/1", "3")):
        (tmp_path / "val" / f"{old}.png").rename(tmp_path / "val" / old[:3] / f"v_{new}.png")
    return tmp_path


def write(path, lists):
    path.write_text(json.dumps(lists))
    return path


def test_lists_follow_the_names_of_the_files_and_empty_ones_do_not_count(folder):
    images = FolderImages(folder, split="val", limit=None)
    file = write(folder / "real.json", [[0], [1, 0], [], [1]])  # of v_1, v_2, v_3, v_4
    found = AcceptedLabels(images, file)
    assert images.files == ["v_1.png", "v_4.png", "v_2.png", "v_3.png"]
    assert found.accepted == [[0], [1], [1, 0]]
    assert len(found) == 3
    assert found.image(2).tobytes() == images.image(2).tobytes()
    other = AcceptedLabels(images, write(folder / "real.json", [[0], [1], [], [1]]))
    assert other.digest != found.digest


def test_lists_for_other_images_are_refused(folder):
    images = FolderImages(folder, split="val", limit=2)
    with pytest.raises(
        FileNotFoundError, match=r"real.json: a JSON list .*; there is no such file"
    ):
        AcceptedLabels(images, folder / "real.json")
    with pytest.raises(ValueError, match="4 in all; found 2"):
        AcceptedLabels(images, write(folder / "real.json", [[0], [1]]))
    with pytest.raises(ValueError, match="4 in all; found no list"):
        AcceptedLabels(images, write(folder / "real.json", {"0": [1]}))


def test_accepted_labels_become_a_table(store, folder):
    images = FolderImages(folder, split="val", limit=None)
    scored = AcceptedLabels(images, write(folder / "real.json", [[0], [1, 0], [], [1]]))
    inputs = probe_inputs(store, images, images, scored, accepted=scored.accepted)
    assert inputs.accepted.tolist() == [[True, False], [False, True], [True, True]]
    assert inputs.test.cls.shape[0] == 3


def test_heads_are_made_once_for_each_address(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"weights": torch.full((2,), float(len(made)))}

    known = {"weights": "w", "train": "t"}
    found = [
        keep_heads(tmp_path, known | {"weights": weights}, {"steps": steps}, make)["weights"][0]
        for weights, steps in (("w", 1), ("w", 1), ("w", 2), ("v", 1))
    ]
    assert [float(value) for value in found] == [1.0, 1.0, 2.0, 3.0]
