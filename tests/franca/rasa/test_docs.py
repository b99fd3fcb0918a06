"""The worked example of docs/rasa.md runs as printed."""

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from franca.models.vit import build_vit
from franca.rasa.views import ViewSettings
from tests.franca.rasa.test_views import STILL

PAGE = Path(__file__).parents[3] / "docs" / "rasa.md"


def test_the_worked_example_removes_one_direction():
    (snippet,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "without_brightness" in block
    ]
    random = np.random.default_rng(0)
    names = {
        "images": [
            Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(32)
        ],
        "model": build_vit("vit_tiny", generator=torch.Generator().manual_seed(0)).eval(),
        "views": ViewSettings(**STILL),
    }
    exec(compile(snippet, str(PAGE), "exec"), names)  # the page is ours
    assert names["without_brightness"].rank == 1
