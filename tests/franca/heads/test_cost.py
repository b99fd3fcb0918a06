"""The arithmetic of a stack of heads against the stack itself, and the paper's ratios."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from franca.heads.cost import HeadStack
from franca.heads.matryoshka import FIVE_LEVELS, MatryoshkaHead
from franca.randomness import generator
from tests.saved_tensors import saved_bytes

SMALL = {"dim": 24, "num_prototypes": 64, "hidden_dim": 16, "bottleneck_dim": 8, "num_layers": 3}
CASES = [
    {"levels": (1.0,), "mode": "slice", "batch_norm": False},
    {"levels": (0.25, 1.0), "mode": "slice", "batch_norm": True},
    {"levels": (0.25, 0.5, 1.0), "mode": "project", "batch_norm": False},
    {"levels": (0.5, 1.0), "mode": "slice", "batch_norm": False, "num_layers": 1},
]


@pytest.fixture(params=CASES, ids=str)
def sizes(request):
    return SMALL | request.param


def test_parameters_are_those_of_the_stack(sizes):
    with torch.device("meta"):
        head = MatryoshkaHead(**sizes)
    counted = HeadStack(**sizes).parameters
    assert counted == sum(parameter.numel() for parameter in head.parameters())


def test_operations_are_those_that_torch_counts(sizes):
    head = MatryoshkaHead(**sizes, generator=generator(0, "cost"))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        for level in head(torch.ones(5, 24)):
            level.logits()
    assert 5 * HeadStack(**sizes).flops == counter.get_total_flops()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kept_bytes_are_what_autograd_saves(precision):
    sizes = SMALL | {"hidden_dim": 256, "bottleneck_dim": 64, "num_prototypes": 8}
    sizes |= {"levels": (0.25, 1.0), "mode": "slice", "batch_norm": False}
    head = MatryoshkaHead(**sizes, generator=generator(0, "cost"))
    prototypes = head.prototypes()

    def saved(rows):
        features = torch.ones(rows, 24, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return saved_bytes(lambda: head(features, prototypes=prototypes), model=head)

    # Twice as many rows: what is left of the difference is not of the weights.
    counted = 512 * HeadStack(**sizes).kept_bytes_per_row(precision=precision)
    assert counted == pytest.approx(saved(1024) - saved(512), rel=0.05)


def student_heads(*, levels, num_prototypes=131072, hidden_dim=2048, mode="slice", dim=1024):
    """Parameters of a student's DINO and iBOT heads, counted by torch on the meta device."""
    with torch.device("meta"):
        stacks = [
            MatryoshkaHead(
                dim=dim,
                levels=levels,
                num_prototypes=num_prototypes,
                hidden_dim=hidden_dim,
                bottleneck_dim=bottleneck_dim,
                mode=mode,
            )
            for bottleneck_dim in (384, 256)
        ]
    return sum(parameter.numel() for stack in stacks for parameter in stack.parameters())


def test_five_levels_have_more_than_twice_the_parameters_of_one():
    one = student_heads(levels=(1.0,))
    assert one / 1e6 == pytest.approx(98.1, abs=0.1)
    assert student_heads(levels=FIVE_LEVELS, mode="project") / one == pytest.approx(2.28, abs=0.005)
    assert student_heads(levels=FIVE_LEVELS) / one == pytest.approx(2.24, abs=0.005)


def test_as_many_prototypes_as_one_level_are_not_yet_as_many_parameters():
    """Five hidden layers stay five: the hidden layers must shrink as well."""
    few = student_heads(levels=FIVE_LEVELS, num_prototypes=67650)
    assert few / student_heads(levels=(1.0,)) == pytest.approx(1.44, abs=0.005)
