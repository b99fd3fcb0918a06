"""The losses as loops, straight from their docstrings, against the vectorised ones."""

import math

import pytest
import torch
from torch.testing import assert_close

from franca.losses.dino import dino_loss
from franca.losses.ibot import ibot_loss
from franca.losses.koleo import koleo_loss
from franca.losses.sinkhorn import sinkhorn_knopp

TEMPERATURE = 0.1
BATCH, DIM = 3, 4


def cross_entropy(target, embedding, prototypes):
    logits = [float(embedding @ prototype) / TEMPERATURE for prototype in prototypes]
    normaliser = math.log(sum(math.exp(logit) for logit in logits))
    return -sum(float(t) * (logit - normaliser) for t, logit in zip(target, logits, strict=True))


def sinkhorn_loop(logits, temperature, iterations):
    Q = torch.exp(logits.double() / temperature)
    rows, prototypes = Q.shape
    for _ in range(iterations):
        for k in range(prototypes):
            Q[:, k] /= Q[:, k].sum()
        for i in range(rows):
            Q[i] /= Q[i].sum()
    return Q


def dino_loop(student_views, teacher_views, levels, level_weights):
    """student_views: list of (name, [level -> (embeddings, prototypes)]); teachers by name."""
    pairs = sum(s != t for s, _ in student_views for t, _ in teacher_views)
    loss = {"local": 0.0, "global": 0.0}
    for level in range(levels):
        for student_name, student in student_views:
            for teacher_name, targets in teacher_views:
                if student_name == teacher_name:
                    continue
                for i in range(BATCH):
                    embeddings, prototypes = student[level]
                    ce = cross_entropy(targets[level][i], embeddings[i], prototypes)
                    kind = student_name.split()[0]
                    loss[kind] += level_weights[level] * ce / (BATCH * pairs)
    return loss


@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_sinkhorn(iterations):
    torch.manual_seed(0)
    logits = 0.3 * torch.randn(7, 5)
    targets = sinkhorn_knopp([logits], temperature=0.06, iterations=iterations)[0]
    assert_close(targets.double(), sinkhorn_loop(logits, 0.06, iterations), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("num_local", [0, 1, 4])
@pytest.mark.parametrize("max_logits", [10**6, 6])
def test_dino(num_local, max_logits):
    torch.manual_seed(0)
    level_weights = (1.0, 0.3)
    prototypes = [torch.randn(5, DIM), torch.randn(8, DIM)]

    def view():
        return [(torch.randn(BATCH, DIM), w) for w in prototypes]

    def packed(views):
        return [
            (torch.cat([view[level][0] for view in views] or [torch.zeros(0, DIM)]), w)
            for level, w in enumerate(prototypes)
        ]

    local_views, global_views = [view() for _ in range(num_local)], [view(), view()]
    targets = [torch.randn(2, BATCH, len(w)).softmax(dim=-1) for w in prototypes]
    loss = dino_loss(
        global_crops=packed(global_views),
        local_crops=packed(local_views),
        targets=targets,
        level_weights=level_weights,
        max_logits=max_logits,
    )
    named = [(f"local {i}", view) for i, view in enumerate(local_views)]
    named += [(f"global {i}", view) for i, view in enumerate(global_views)]
    teachers = [(f"global {i}", [target[i] for target in targets]) for i in range(2)]
    expected = dino_loop(named, teachers, 2, level_weights)
    assert float(loss.local_crops) == pytest.approx(expected["local"], rel=1e-5)
    assert float(loss.global_crops) == pytest.approx(expected["global"], rel=1e-5)


@pytest.mark.parametrize("max_logits", [10**6, 6])
def test_ibot(max_logits):
    torch.manual_seed(0)
    level_weights = (0.5, 2.0)
    masks = torch.rand(2 * BATCH, 9) < torch.tensor([0.0, 0.3, 0.9, 0.0, 0.5, 0.2])[:, None]
    crops = masks.nonzero()[:, 0].tolist()
    prototypes = [torch.randn(5, DIM), torch.randn(8, DIM)]
    student = [(torch.randn(len(crops), DIM), w) for w in prototypes]
    targets = [torch.randn(len(crops), len(w)).softmax(dim=-1) for w in prototypes]
    expected = 0.0
    for level, weight in enumerate(level_weights):
        for patch, crop in enumerate(crops):
            embeddings, w = student[level]
            ce = cross_entropy(targets[level][patch], embeddings[patch], w)
            expected += weight * ce / (crops.count(crop) * len(masks))
    loss = ibot_loss(
        masked_patches=student,
        targets=targets,
        token_weights=1 / masks.sum(dim=1)[crops],
        num_crops=len(masks),
        level_weights=level_weights,
        max_logits=max_logits,
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_koleo():
    torch.manual_seed(0)
    features = torch.randn(6, DIM)
    x = [feature / feature.norm() for feature in features]
    expected = 0.0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        nearest = max(others, key=lambda j: float(x[i] @ x[j]))
        expected -= math.log(float((x[i] - x[nearest] + 1e-6).norm()) + 1e-6) / len(x)
    assert float(koleo_loss(features)) == pytest.approx(expected, rel=1e-5)
