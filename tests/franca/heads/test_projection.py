"""Projection head: normalisation variants, precision, shared prototypes."""

import pytest
import torch
from torch.testing import assert_close

from franca.heads.projection import ProjectionHead, Prototypes
from franca.randomness import generator

SIZES = {"in_dim": 6, "hidden_dim": 8, "bottleneck_dim": 4, "num_prototypes": 10}


def head(seed=0, **options):
    return ProjectionHead(**SIZES, **options, generator=generator(seed, "head"))


def test_prototypes_have_their_learnt_lengths():
    prototypes = Prototypes(width=4, count=3)
    torch.nn.init.normal_(prototypes.weight_v)
    prototypes.weight_g.data = torch.tensor([[1.0], [2.0], [0.5]])
    assert_close(prototypes().norm(dim=1), torch.tensor([1.0, 2.0, 0.5]))
    cosine = torch.cosine_similarity(prototypes(), prototypes.weight_v)
    assert_close(cosine, torch.ones(3))


def test_prototypes_get_no_gradient_along_themselves():
    prototypes = Prototypes(width=4, count=3)
    torch.nn.init.normal_(prototypes.weight_v)
    (prototypes() * torch.randn(3, 4)).sum().backward()
    along = (prototypes.weight_v.grad * prototypes.weight_v).sum(dim=1)
    assert_close(along, torch.zeros(3), atol=1e-6, rtol=0)
    assert prototypes.weight_v.grad.any()
    assert prototypes.weight_g.grad.any()


def test_dinov2_embeddings_are_on_the_sphere_and_logits_are_cosines():
    projection = head()(100 * torch.randn(7, 6))
    assert_close(projection.embeddings.norm(dim=1), torch.ones(7))
    assert projection.logits().abs().max() <= 1 + 1e-6


def test_franca_release_is_not_normalised_and_ends_in_gelu():
    embeddings = head(normalization="franca_release")(100 * torch.randn(7, 6)).embeddings
    assert embeddings.norm(dim=1).std() > 0
    assert embeddings.min() >= -0.17  # the minimum of GELU


def test_a_single_layer_has_no_activation_in_either_variant():
    for normalization in ("dinov2", "franca_release"):
        assert len(head(num_layers=1, normalization=normalization).mlp) == 1


def test_batch_norm_is_in_every_hidden_layer_and_centres_it():
    model = head(batch_norm=True)
    kinds = [type(layer).__name__ for layer in model.mlp]
    hidden = ["Linear", "BatchNorm", "GELU"]
    assert kinds == hidden * 2 + ["Linear"]
    shifted = torch.randn(16, 6)
    assert_close(model(shifted).embeddings, model(shifted + 5).embeddings, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normalization", ["dinov2", "franca_release"])
def test_under_autocast_factors_are_half_and_prototypes_and_logits_single(normalization):
    model = head(normalization=normalization)
    features = torch.randn(5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        projection = model(features)
        logits = projection.logits()
    assert projection.embeddings.dtype == torch.bfloat16
    assert logits.dtype == projection.prototypes.dtype == torch.float32
    exact = model(features).logits()
    assert 0 < (logits - exact).abs().max() < 0.02 * exact.abs().max()


def test_given_prototypes_are_used_instead_of_the_heads_own():
    model = head()
    features = torch.randn(5, 6)
    own = model.last_layer()
    assert torch.equal(model(features, prototypes=own).logits(), model(features).logits())
    assert_close(model(features, prototypes=2 * own).logits(), 2 * model(features).logits())


def test_initial_weights_depend_on_the_generator_alone():
    first, again, other = (head(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["last_layer.weight_v"], other["last_layer.weight_v"])
    assert not torch.equal(first["mlp.0.weight"], other["mlp.0.weight"])
    assert_close(first["last_layer.weight_g"], torch.ones(10, 1))


def test_a_zero_feature_gives_finite_logits_and_gradients():
    features = torch.zeros(2, 6, requires_grad=True)
    logits = head()(features).logits()
    logits.sum().backward()
    assert logits.isfinite().all()
    assert features.grad.isfinite().all()
