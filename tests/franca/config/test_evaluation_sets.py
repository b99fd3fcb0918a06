"""Declarations of evaluation sets."""

import pytest
from pydantic import ValidationError

from franca.config.evaluation_sets import EvaluationSet
from tests.franca.config.sections import SEGMENTATION


def test_complete_declaration_is_accepted():
    assert EvaluationSet(**SEGMENTATION).num_classes == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": "parquet"},
            r"'parquet' cannot hold a segmentation set: use .*'voc'",
        ),
        ({"num_classes": None}, "a segmentation set needs num_classes: set it"),
        ({"kind": "novel", "format": "folder"}, "a novel set needs known_set"),
        (
            {"kind": "novel", "format": "openood", "known_set": "objects"},
            "a novel set needs group",
        ),
        (
            {"kind": "classification", "format": "folder", "train_split": None},
            "needs train_split",
        ),
        ({"root": "s3://bucket/voc"}, "copy it with `franca data fetch s3://bucket/voc --to"),
        ({"licence": ""}, "at least 1 character"),
        ({"ignore_index": 256}, "less than or equal to 255"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        EvaluationSet(**(SEGMENTATION | change))
