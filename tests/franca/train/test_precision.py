"""Precision: fp32 leaves autocast off, bf16 turns it on for the backbones."""

import torch

from franca.train.loop import train
from franca.train.precision import autocast
from tests.franca.train.recipes import recipe, training


def test_fp32_computes_in_fp32_and_bf16_in_bf16():
    x = torch.ones(2, 2)
    with autocast(torch.device("cpu"), precision="fp32"):
        assert (x @ x).dtype == torch.float32
    with autocast(torch.device("cpu"), precision="bf16"):
        assert (x @ x).dtype == torch.bfloat16


def test_a_bf16_run_keeps_weights_and_moments_in_fp32(tmp_path):
    run = training(recipe(steps=3, run__precision="bf16"), tmp_path)
    train(run)
    kinds = {tensor.dtype for tensor in run.method.state_dict().values()}
    assert kinds <= {torch.float32, torch.int64}  # int64: BatchNorm's counters
    moments = run.optimizer.state[run.method.student.backbone.cls_token]
    assert moments["exp_avg"].dtype == torch.float32
