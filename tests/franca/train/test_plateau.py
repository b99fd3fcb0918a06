"""Training leaves the plateau of uniform predictions on a world whose views share one thing.

Images are gratings; their views share direction and period, not phase, contrast or brightness. The
recipe is that of the embedded scale; docs/log.md tells what stays on the plateau.
"""

import json
import math

import pytest
import torch

from franca.data.collate import MultiCropBatch
from franca.randomness import generator
from franca.train.loop import train
from tests.franca.train.recipes import HEAD, recipe, training

STEPS = 40
PROTOTYPES = (16, 64)


@pytest.fixture(scope="module")
def cfg():
    head = {**HEAD, "num_prototypes": PROTOTYPES[1], "hidden_dim": 64, "bottleneck_dim": 8}
    return recipe(
        dino_head=head,
        ibot_head=head,
        global_batch_size=32,
        steps=STEPS,
        objective__level_reduction="mean",
        objective__student_temperature=0.2,
        objective__ibot_weight=0.1,
        objective__koleo_weight=0.05,
        optimizer__layer_decay=1.0,
        optimizer__patch_embed_multiplier=1.0,
        schedule__base_learning_rate=1.2e-2,
        schedule__warmup_steps=10,
        schedule__frozen_last_layer_steps=STEPS,
        schedule__momentum=(0.9, 0.995),
        schedule__teacher_temperature=(0.08, 0.08),
        run__checkpoint_every=STEPS,
    )


def gratings(cfg, step):
    """Views of `cfg.global_batch_size` gratings."""
    draw, count = generator(0, "gratings", step), cfg.global_batch_size
    angle = math.pi * torch.rand(count, 1, 1, generator=draw)
    frequency = 2 * math.pi / (4 + 8 * torch.rand(count, 1, 1, generator=draw))

    def view(size):
        phase, contrast, light = torch.rand(3, count, 1, 1, generator=draw)
        rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        along = columns * angle.cos() + rows * angle.sin()
        wave = torch.sin(frequency * along + 2 * math.pi * phase)
        levels = 108 + 40 * light + (30 + 60 * contrast) * wave
        return levels.clamp(0, 255).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)

    augment = cfg.augment
    return MultiCropBatch(
        global_crops=torch.cat([view(augment.global_crops.size) for _ in range(2)]),
        local_crops=torch.cat(
            [view(augment.local_crops.size) for _ in range(augment.local_crops.count)]
        ),
        keys=tuple(f"{step}-{index}" for index in range(count)),
    )


@pytest.mark.slow
def test_the_student_learns_what_the_views_share(cfg, tmp_path):
    train(training(cfg, tmp_path, batches=lambda steps: (gratings(cfg, step) for step in steps)))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    num_local = cfg.augment.local_crops.count
    plateau = sum(map(math.log, PROTOTYPES)) / len(PROTOTYPES)  # cross-entropy of uniform guesses
    plateau_local = plateau * 2 * num_local / (2 + 2 * num_local)  # its share of the pairs
    assert rows[0]["dino_local"] > plateau_local
    assert rows[-1]["dino_local"] < 0.8 * plateau_local  # 0.69 when this was written
