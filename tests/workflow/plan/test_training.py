"""Operations, memory and time of the training stages, against the paper's GPU-hours."""

from pathlib import Path

import pytest

from franca.models.gpus import GPUS
from workflow import params
from workflow.plan.published import PAPER_GPU, PAPER_GPU_HOURS
from workflow.plan.training import USABLE, fewest_gpus, memory, phases, published_bytes

TREE = params.read(Path(__file__).parents[3] / "params.yaml")


def resolve(scale, variant="franca"):
    return params.resolve(TREE, scale=scale, variant=variant)


def test_phases_are_the_stages_at_their_resolutions():
    parts = phases(resolve("vit_b_in21k"))
    assert [part.name for part in parts] == [
        "pretrain",
        "finetune_highres 364",
        "finetune_highres 518",
    ]
    assert [part.images for part in parts] == [625_000 * 2048, 30_000 * 1024, 10_000 * 1024]
    assert [part.step.masked for part in parts] == [96, 2 * 26**2 * 0.1875, 2 * 37**2 * 0.1875]
    # Stochastic depth is fine-tuning's own; ViT-L has 0.4 before.
    assert [part.step.drop_path for part in phases(resolve("vit_l_laion600m"))] == [0.4, 0.1, 0.1]


def test_hours_are_operations_over_what_the_gpu_does():
    part = phases(resolve("vit_b_in21k"))[0]
    seconds = part.images * part.flops_per_image / (989e12 * 0.5)
    assert part.gpu_hours(GPUS["h100"], utilisation=0.5) == pytest.approx(seconds / 3600)
    # 894 if the last block computed every row; what no loss reads is about 5 % of the work.
    rate = part.images_per_second(GPUS["h100"], utilisation=0.55)
    assert rate == pytest.approx(894 * 1.05, rel=0.01)


@pytest.mark.parametrize(("scale", "variant"), PAPER_GPU_HOURS)
def test_hours_are_the_papers_at_one_utilisation(scale, variant):
    """Five figures of Table 8, 1,324 to 19,992 hours, within an eighth of each other's rate."""
    parts = phases(resolve(scale, variant))
    ours = sum(part.gpu_hours(PAPER_GPU, utilisation=0.15) for part in parts)
    assert ours == pytest.approx(PAPER_GPU_HOURS[scale, variant], rel=1 / 8)


def test_sharding_divides_the_state_and_nothing_else():
    part = phases(resolve("vit_l_laion600m"))[0]
    whole = memory(part, num_gpus=96, sharded=False)
    share = memory(part, num_gpus=96, sharded=True)
    assert whole.state == 96 * share.state == 20 * (303_655_168 + part.step.head_parameters)
    assert whole.total - whole.state == pytest.approx(share.total - share.state)
    assert whole.activations == 32 * part.step.activation_bytes


def test_fewest_gpus_are_the_first_power_of_two_on_which_all_fits():
    parts, gpu = phases(resolve("vit_l_laion600m")), GPUS["h100"]
    fewest = fewest_gpus(parts, gpu)

    def largest(number):
        return max(memory(part, num_gpus=number, sharded=True).total for part in parts)

    assert largest(fewest) <= USABLE * gpu.memory < largest(fewest // 2)
    assert fewest_gpus(phases(resolve("tiny")), gpu) == 1


def test_published_bytes_are_checkpoints_and_state():
    parameters = resolve("vit_b_in21k")
    published = published_bytes(parameters)
    step = phases(parameters)[0].step
    backbones = len(parameters.pretrain.kept_steps) * 4 * 85_737_984
    assert published["pretrain"] == backbones + 16 * (85_737_984 + step.head_parameters)
    assert list(published) == ["pretrain", "finetune_highres"]
