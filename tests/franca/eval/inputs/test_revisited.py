"""The official ground truth is pickled: what it may build, and what is refused before it runs."""

import json
import pickle

import numpy as np
import pytest

from franca.eval.inputs.revisited import convert

TRUTH = {
    "imlist": ["a", "b"],
    "qimlist": ["q"],
    "gnd": [
        {
            "bbx": [1.5, 2, 3, 4],
            "easy": np.array([0]),
            "hard": [np.int64(1)],
            "junk": np.array([], dtype=int),
        }
    ],
}


def written(path, content, **options):
    path.write_bytes(pickle.dumps(content, **options))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_plain_data_becomes_json(tmp_path, protocol):
    target = convert(written(tmp_path / "gnd_roxford5k.pkl", TRUTH, protocol=protocol))
    assert target == tmp_path / "gnd_roxford5k.json"
    row = {"bbx": [1.5, 2, 3, 4], "easy": [0], "hard": [1], "junk": []}
    assert json.loads(target.read_text()) == {**TRUTH, "gnd": [row]}


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_that_calls_something_is_refused_before_it_does(tmp_path):
    mark = tmp_path / "written_by_the_pickle"
    file = written(tmp_path / "gnd.pkl", {**TRUTH, "gnd": [Attack(str(mark))]})
    with pytest.raises(ValueError, match=r"names \w+\.open: not plain data, nothing was run"):
        convert(file)
    assert not mark.exists()
    assert not file.with_suffix(".json").exists()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gnd.pkl: not there; get it from"):
        convert(tmp_path / "gnd.pkl")
    (tmp_path / "gnd.pkl").write_bytes(b"no pickle")
    with pytest.raises(ValueError, match="not a readable pickle"):
        convert(tmp_path / "gnd.pkl")
    with pytest.raises(ValueError, match="expected a dictionary with imlist, qimlist, gnd"):
        convert(written(tmp_path / "gnd.pkl", ["a"]))
