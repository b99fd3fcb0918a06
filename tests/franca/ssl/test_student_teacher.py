"""The objective by actor; train/test_step_oracle.py pins its numbers to the released code."""

import pytest
import torch

from franca.losses.koleo import koleo_loss
from franca.randomness import generator
from franca.ssl.student_teacher import make_views
from franca.train.build import build_masks
from tests.franca.train.recipes import batch_of, build, recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cfg():
    return recipe()


@pytest.fixture(scope="module")
def method(cfg):
    built = build(cfg)
    with torch.no_grad():  # apart from each other, or student and teacher agree by construction
        for parameter in built.student.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator(1, "shift")) * 0.01)
    return built


@pytest.fixture(scope="module")
def views(cfg):
    masks = build_masks(cfg, seed=0)(0, range(cfg.global_batch_size))
    return make_views(batch_of(cfg, 0), masks, device=CPU)


def losses_of(method, views):
    return method(views, teacher_temperature=0.05, depth=None)


def test_targets_are_probabilities_for_every_view_and_masked_patch(method, views):
    (targets,) = method.teacher_targets([views], temperature=0.05)
    assert [level.shape for level in targets.cls] == [(2, 4, 8), (2, 4, 32)]
    masked = int(views.masks.sum())
    assert [level.shape for level in targets.patches] == [(masked, 8), (masked, 32)]
    for level in [*targets.cls, *targets.patches]:
        torch.testing.assert_close(level.sum(dim=-1), torch.ones(level.shape[:-1]))
        assert not level.requires_grad


def test_the_teacher_sees_what_is_masked_from_the_student(method, views):
    hidden = views.masks.reshape(-1, 4, 4).repeat_interleave(8, 1).repeat_interleave(8, 2)
    changed = make_changed(views, hidden)
    before = method.teacher_targets([views], temperature=0.05)[0].patches[-1]
    after = method.teacher_targets([changed], temperature=0.05)[0].patches[-1]
    assert not torch.allclose(before, after)
    seen = [
        method.student_outputs(v, depth=None).masked_patches[-1].embeddings
        for v in (views, changed)
    ]
    torch.testing.assert_close(*seen)


def make_changed(views, where):
    """The same views with other pixels at `where` in the global crops."""
    crops = torch.where(where[:, None], torch.zeros(()), views.global_crops)
    return type(views)(**{**vars(views), "global_crops": crops})


def test_the_total_is_the_weighted_sum_of_the_terms(views):
    weights = {"dino": 0.5, "ibot": 2.0, "koleo": 0.3}
    method = build(recipe(**{f"objective__{name}_weight": w for name, w in weights.items()}))
    losses = losses_of(method, views)
    assert list(losses.terms) == ["dino_global", "dino_local", "ibot", "koleo"]
    terms = torch.stack(list(losses.terms.values()))
    weights = torch.tensor([weights["dino"], *weights.values()])
    torch.testing.assert_close(losses.total, weights @ terms)


def test_every_clustering_term_has_the_students_temperature(views):
    usual, softer = (
        losses_of(build(recipe(objective__student_temperature=temperature)), views).terms
        for temperature in (0.1, 1e6)
    )
    uniform = sum(torch.tensor(float(count)).log() for count in (8, 32))  # of two levels
    for name, share in {"dino_global": 2 / 6, "dino_local": 4 / 6}.items():
        torch.testing.assert_close(softer[name], share * uniform)
    assert softer["ibot"] != usual["ibot"]
    torch.testing.assert_close(softer["ibot"], 0.5 * uniform)
    torch.testing.assert_close(softer["koleo"], usual["koleo"])


def test_koleo_spreads_each_view_on_its_own(method, views):
    cls = method.student_outputs(views, depth=None).global_cls
    expected = koleo_loss(cls[0]) + koleo_loss(cls[1])
    torch.testing.assert_close(losses_of(method, views).terms["koleo"], expected.detach())


def test_every_trained_parameter_and_no_teacher_gets_a_gradient(method, views):
    method.zero_grad()
    losses_of(method, views).total.backward()
    missing = [name for name, p in method.student.named_parameters() if p.grad is None]
    assert missing == []
    for parameter in method.teacher.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad


def test_the_mean_over_levels_is_the_sum_divided_by_their_number(cfg, views):
    summed = losses_of(build(cfg), views).terms
    mean = losses_of(build(recipe(objective__level_reduction="mean")), views).terms
    for name in ("dino_global", "dino_local", "ibot"):
        torch.testing.assert_close(mean[name] * len(cfg.dino_head.levels), summed[name])
    torch.testing.assert_close(mean["koleo"], summed["koleo"])


def test_one_level_is_the_last_level_alone(cfg, views):
    head = {**cfg.dino_head.model_dump(), "levels": (1.0,)}
    single = build(recipe(dino_head=head, ibot_head=head))
    last_only = build(recipe(objective__level_weights=(0.0, 1.0)))
    for part in ("dino_head", "ibot_head"):
        for networks in ("student", "teacher"):
            ours = last_only.get_submodule(f"{networks}.{part}.levels.1").state_dict()
            single.get_submodule(f"{networks}.{part}.levels.0").load_state_dict(ours)
    torch.testing.assert_close(losses_of(single, views).total, losses_of(last_only, views).total)


def test_features_prototypes_and_losses_are_fp32_under_autocast(method, views):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = method.student_outputs(views, depth=None)
        total = losses_of(method, views).total
    embeddings, prototypes = outputs.masked_patches[0]
    assert embeddings.dtype == torch.bfloat16
    assert prototypes.dtype == torch.float32
    assert outputs.global_cls.dtype == total.dtype == torch.float32
    exact = losses_of(method, views).total
    assert total.item() == pytest.approx(exact.item(), rel=0.05)
    assert total.item() != exact.item()  # backbones and MLPs did run in bf16


def test_centering_keeps_its_centers_in_the_state(views):
    method = build(recipe(objective__targets="centering"))
    names = [name for name in method.state_dict() if "balance" in name]
    assert names == ["balance.centers"]
    before = method.balance.centers.clone()
    assert torch.isfinite(losses_of(method, views).total)
    assert not torch.equal(method.balance.centers, before)


def test_a_longer_grid_keeps_the_teacher_without_gradients(cfg):
    method = build(cfg)
    method.set_image_size(48)
    assert method.student.backbone.pos_embed.shape[1] == 1 + 36
    assert method.student.backbone.pos_embed.requires_grad
    assert not any(parameter.requires_grad for parameter in method.teacher.parameters())
