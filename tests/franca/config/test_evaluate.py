"""Parameters of the evaluation: what is refused, and in which words."""

import pytest
from pydantic import ValidationError

from franca.config.evaluate import Evaluate
from tests.franca.config.sections import EVALUATE


def test_complete_section_is_accepted_and_nothing_has_a_default():
    assert Evaluate(**EVALUATE).knn.neighbours == (10, 20)
    for name in EVALUATE:
        with pytest.raises(ValidationError, match=name):
            Evaluate(**{key: value for key, value in EVALUATE.items() if key != name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": 17}, "crop_size 17 exceeds resize 16"),
        ({"tasks": EVALUATE["tasks"] * 2}, "benchmark twice on the same set"),
        ({"tasks": [{"benchmark": "guess", "evaluation_set": "x"}]}, "Input should be 'knn'"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"knnn": {}}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_values_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Evaluate(**(EVALUATE | change))
