"""The words for each format against what its reader looks for."""

import re
from typing import get_args

import pytest

from franca.config.evaluation_sets import EvaluationSet, FineGrained
from franca.eval.inputs.formats import FORMATS, format_of
from franca.eval.inputs.kinds import KINDS
from franca.eval.inputs.sets import EvaluationSets
from tests.franca.config.sections import SEGMENTATION
from tests.franca.eval.inputs.test_kinds import FORMATS as BY_KIND

KIND_OF_SET = {set_kind: kind for kind, each in KINDS.items() for set_kind in each.set_kinds}
PAIRS = [
    *((kind, name) for kind, names in BY_KIND.items() for name in names if kind != "novel"),
    *(("classification", name) for name in get_args(FineGrained)),
    ("retrieval", "revisited"),
    ("retrieval", "pairs"),
]


def test_every_format_that_can_be_declared_is_described():
    alternatives = get_args(EvaluationSet.model_fields["format"].annotation)
    declared = {name for each in alternatives for name in get_args(each)}
    assert set(FORMATS) == declared | {"geometry"}


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_what_is_missed_first_is_what_the_words_name(kind, name, store, tmp_path):
    """An empty folder stops the reader, and the file it looks for is among those described."""
    split = "train1" if name == "dtd" else "Training_01" if name == "sun397" else "train"
    split = {"pets": "trainval"}.get(name, split)
    labels = SEGMENTATION | {"root": str(tmp_path), "train_split": split, "test_split": split}
    declared = EvaluationSet(**(labels | {"kind": kind, "format": name}))
    sets = EvaluationSets(all={"gone": declared}, scenes=tmp_path, store=store)
    with pytest.raises(FileNotFoundError) as caught:
        KINDS[KIND_OF_SET[kind]].prepare(sets, "gone")
    paths = re.findall(rf"{re.escape(str(tmp_path))}/([^\s;:,]+)", str(caught.value))
    assert paths
    described = format_of(declared).files.replace("<split>", split)
    words = set(re.findall(r"[\w-]{3,}", described))
    missed = re.findall(r"[\w-]{3,}", paths[-1])
    assert words & set(missed), (described, paths)
