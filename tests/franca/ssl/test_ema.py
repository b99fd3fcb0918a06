"""The teacher's moving average: parameters, running statistics and counters."""

import copy

import pytest
import torch
from torch import nn

from franca.ssl.ema import update_teacher


@pytest.fixture
def pair():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    teacher = copy.deepcopy(student).requires_grad_(False)
    student(torch.randn(8, 3))  # moves the running statistics
    with torch.no_grad():
        student[0].weight.add_(1.0)
    return teacher, student


def test_each_parameter_and_running_statistic_is_averaged(pair):
    teacher, student = pair
    before = copy.deepcopy(teacher)
    update_teacher(teacher, student, momentum=0.9)
    for name in ("0.weight", "1.running_mean", "1.running_var"):
        old, new = before.state_dict()[name], student.state_dict()[name]
        assert not torch.equal(old, new)
        torch.testing.assert_close(teacher.state_dict()[name], 0.9 * old + 0.1 * new)


def test_counters_are_copied(pair):
    teacher, student = pair
    update_teacher(teacher, student, momentum=0.9)
    assert teacher[1].num_batches_tracked == student[1].num_batches_tracked == 1


def test_momentum_one_changes_no_bit_and_zero_copies(pair):
    teacher, student = pair
    before = copy.deepcopy(teacher.state_dict())
    update_teacher(teacher, student, momentum=1.0)
    assert torch.equal(teacher[0].weight, before["0.weight"])
    update_teacher(teacher, student, momentum=0.0)
    assert torch.equal(teacher[0].weight, student[0].weight)


def test_no_gradient_reaches_the_teacher(pair):
    teacher, student = pair
    update_teacher(teacher, student, momentum=0.5)
    assert all(parameter.grad_fn is None for parameter in teacher.parameters())
