"""What the parameters of training refuse, in which words, and which steps are kept."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from franca.config.pretrain import Pretrain, kept_steps
from tests.franca.train.recipes import HEAD, RECIPE, recipe


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (400, 5, [0, 50, 100, 200, 400]),
        (400, 2, [0, 400]),
        (3, 9, [0, 1, 3]),
        (1, 2, [0, 1]),
        (625_000, 4, [0, 156_250, 312_500, 625_000]),
    ],
)
def test_kept_steps_double_from_the_last_downwards(total, count, expected):
    assert kept_steps(total, count) == expected
    cfg = Pretrain.model_validate({**RECIPE, "steps": max(total, 3), "num_kept": count})
    assert cfg.kept_steps == kept_steps(max(total, 3), count)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__arch": "vit_huge"}, "arch 'vit_huge' is unknown: choose one of vit_tiny"),
        (
            {"dino_head": {**HEAD, "levels": (0.5, 0.25, 1.0)}},
            "must ascend from above 0 to exactly",
        ),
        ({"dino_head": {**HEAD, "levels": (0.5, 0.75)}}, "must ascend from above 0 to exactly 1.0"),
        ({"ibot_head": {**HEAD, "num_prototypes": 4}}, "less than two: raise num_prototypes"),
        (
            {"ibot_head": {**HEAD, "levels": (0.001, 1.0), "num_prototypes": 4096}},
            "less than one of",
        ),
        ({"ibot_head": {**HEAD, "levels": (1.0,)}}, "must be equally many"),
        ({"objective__level_weights": (1.0,)}, "1 entries for 2 dino_head.levels: give one per"),
        ({"masking__ratio": (0.6, 0.2)}, "must satisfy 0 <= least <= largest < 1"),
        ({"masking__probability": 0.1}, "masking hides nothing: 0 of 8 crops"),
        (
            {"masking__ratio": (0.0, 0.05)},
            "masking hides nothing: 4 of 8 crops, at most 0.05 of 16",
        ),
        (
            {"augment__global_crops": {"size": 50, "scale": (0.4, 1.0)}},
            "global_crops.size 50 is not a multiple of vit_tiny's patches of 8 pixels: try 48",
        ),
        (
            {"augment__local_crops": {"size": 16, "scale": (0.1, 0.4), "count": 0}},
            "augment.local_crops.count must be at least 1",
        ),
        ({"steps": 2}, "schedule.warmup_steps 2 must be below steps 2: shorten the warm-up"),
        ({"unknown": 1}, "Extra inputs are not permitted"),
        ({"schedule__momentum": (0.9, 1.1)}, "momentum"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(changes, message):
    with pytest.raises(ValidationError) as refused:
        recipe(**changes)
    assert message in str(refused.value)


def test_the_parameters_do_not_import_torch():
    imports = "import sys, franca.config.pretrain, franca.config.finetune_highres"
    code = f"{imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
