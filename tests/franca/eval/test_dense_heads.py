"""Heads of the geometry probes: sizes, what each place may see, and what weights depend on."""

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from franca.eval.dense_heads import expected_depth, make_head, resize


def head(name, *, seed=0, outputs=3):
    return make_head(name, layers=4, channels=5, outputs=outputs, width=6, seed=seed)


def tokens(seed=0, *, images=2):
    return torch.randn(images, 4, 5, 3, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "times"), [("linear", 4), ("dpt", 16)])
def test_maps_are_finer_than_patches(name, times):
    model = head(name)
    found = model(tokens())
    assert found.shape == (2, 3, 3 * times // model.repeats, 4 * times // model.repeats)


def test_linear_head_maps_and_upsamples_in_either_order():
    model, x = head("linear"), tokens()
    finer = interpolate(x.flatten(1, 2), scale_factor=4, mode="bilinear")
    reference = conv2d(finer, model.read.weight, model.read.bias)
    torch.testing.assert_close(model(x), reference, rtol=1e-4, atol=1e-5)


def test_dpt_head_is_its_loop_form():
    model, x = head("dpt"), tokens()

    def twice(maps):
        return interpolate(maps, scale_factor=2)

    fused = None
    for number in (3, 2, 1, 0):
        layer = twice(model.project[number](x[:, number]))
        fused = layer if fused is None else fused + model.skip[number](layer)
        fused = model.fuse[number](fused)
    expected = model.read(model.refine(interpolate(fused, scale_factor=4)).relu())
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("name", ["linear", "dpt"])
def test_every_layer_is_read_and_images_do_not_mix(name):
    model, x = head(name), tokens().requires_grad_()
    model(x)[0].square().sum().backward()
    assert (x.grad[0].abs().sum((1, 2, 3)) > 0).all()
    assert (x.grad[1] == 0).all()


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(3)
    first = head("dpt").state_dict()
    torch.manual_seed(4)
    again, other = head("dpt").state_dict(), head("dpt", seed=1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["read.weight"], other["read.weight"])


def test_depth_lies_within_the_bins_and_follows_the_scores():
    scores = torch.zeros(1, 5, 1, 3)
    scores[0, 4, 0, 1], scores[0, 0, 0, 2] = 1e4, 1e4
    found = expected_depth(scores, nearest=1.0, farthest=9.0)[0, 0]
    torch.testing.assert_close(found, torch.tensor([5.0, 9.0, 1.0]), rtol=1e-3, atol=0)


def test_repeating_after_the_bins_is_repeating_before():
    model = head("dpt", outputs=8)
    scores = model(tokens())
    late = expected_depth(scores, nearest=0.1, farthest=9.0)[:, None]
    late = resize(late, (20, 30), repeats=model.repeats, mode="bilinear")
    early = expected_depth(interpolate(scores, scale_factor=2), nearest=0.1, farthest=9.0)[:, None]
    torch.testing.assert_close(late, interpolate(early, (20, 30), mode="bilinear"))
