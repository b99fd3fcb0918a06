"""What a step asks the device for: every answer is a wait in which nothing is launched.

Tensors on `meta` have no values, and stand for those of a GPU: whoever asks for one is written down
and told zero. torch's fused and foreach kernels, and autocast, are taught that device.
"""

import dataclasses
import functools
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode

from franca.data.augment import build_augmentation
from franca.data.augment_device import coloured
from franca.losses import cross_entropy
from franca.train.build import build_schedules, build_student_optimizer
from franca.train.optim import clip_gradients
from franca.train.precision import autocast
from franca.train.step import make_gradients, update
from tests.franca.train.recipes import IN_PARTS, batch_of, build, parts_of, recipe

META = torch.device("meta")
PRODUCTS = {functional.linear, torch.conv2d, functional.scaled_dot_product_attention}


class Questions(TorchDispatchMode):
    """Writes down the shapes of tensors on `meta` whose values were asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        moves = function is torch.ops.aten._to_copy.default and kwargs.get("device") is not None
        if moves and args[0].is_meta and torch.device(kwargs["device"]).type == "cpu":
            self.asked.append(tuple(args[0].shape))
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if function is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            self.asked.append(())
            return 0.0
        return function(*args, **kwargs)


class Autocast(torch.autocast):
    """Which `meta` does not have."""

    is_on = False

    def __init__(self, _, dtype=None, enabled=True):  # noqa: ARG002
        self._on = enabled

    def __enter__(self):
        self._before, Autocast.is_on = Autocast.is_on, self._on

    def __exit__(self, *_):
        Autocast.is_on = self._before


class HalfProducts(TorchFunctionMode):
    """Gives products factors in bf16 wherever `Autocast` is on."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in PRODUCTS and Autocast.is_on:
            self.seen.add(function)
            args = [a.bfloat16() if isinstance(a, torch.Tensor) else a for a in args]
        return function(*args, **(kwargs or {}))


@pytest.fixture
def questions(monkeypatch):
    """Those of the test."""
    monkeypatch.setitem(cross_entropy.MAX_LOGITS, "meta", 64)
    monkeypatch.setattr(torch, "autocast", Autocast)
    for kernels in ("foreach", "fused"):
        name = f"_get_{kernels}_kernels_supported_devices"
        for module in (_foreach_utils, sys.modules["torch.optim.optimizer"]):
            monkeypatch.setattr(module, name, lambda: ["meta"])
    with Questions() as mode:
        yield mode


def test_a_question_is_written_down(questions):
    values = torch.zeros(3, device="meta")
    assert values.sum().item() == 0
    assert values.tolist() == [0, 0, 0]
    assert not (values[0] > 1)
    assert questions.asked == [(), (3,), ()]
    with pytest.raises(NotImplementedError, match="nonzero"):
        values.nonzero()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("targets", "expected"),
    [("centering", []), ("sinkhorn", [(4, 2)])],  # the range of the logits of two heads' two levels
)
def test_a_step_asks_for_the_range_of_the_logits_alone(questions, targets, expected, precision):
    cfg = recipe(**IN_PARTS, objective__targets=targets)
    method = build(cfg).to(META)
    with HalfProducts() as products:
        losses = make_gradients(
            method,
            parts_of(cfg, images_at_once=4, device=META),
            teacher_temperature=0.05,
            precision=functools.partial(autocast, META, precision=precision),
        )
    assert products.seen == (PRODUCTS if precision == "bf16" else set())
    assert questions.asked == expected
    parameters = list(method.student.parameters())
    assert losses.total.is_meta
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in parameters)

    optimizer = build_student_optimizer(cfg, method)
    update(method, optimizer, build_schedules(cfg).at(3), clip_norm=0.01)
    assert questions.asked == expected
    assert optimizer.state.keys() == set(parameters)


def test_clipping_of_an_accelerator_does_not_look_at_the_norm(questions):
    part = nn.Linear(2, 2, device="meta")
    part.weight.grad = torch.zeros(2, 2, device="meta")
    clip_gradients({"part": part}, max_norm=1.0)
    assert questions.asked == []


def test_colours_left_to_the_device_ask_it_for_nothing(questions):
    cfg = recipe(augment__backend="device")
    augment = build_augmentation(cfg.augment)
    image = np.zeros((40, 40, 3), np.uint8)
    colours = [tuple(augment.draw(image, rng=np.random.default_rng(i))) for i in range(4)]
    seen = [crop for crops in colours for crop in crops]
    for change in ("jitter", "grayscale", "blur_sigma", "solarize_threshold"):
        assert any(getattr(crop, change) for crop in seen), change
    batch = dataclasses.replace(batch_of(cfg, 0), colours=tuple(colours))
    changed = coloured(batch.to(META))
    assert changed.global_crops.is_meta
    assert not changed.colours
    assert questions.asked == []
