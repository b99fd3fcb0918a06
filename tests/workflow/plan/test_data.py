"""How many rows go in, arrive and are stored, and what nobody can know beforehand."""

from pathlib import Path

import pytest

from workflow import params
from workflow.plan.data import core_hours, data_plan, highres_plan, known_source
from workflow.plan.published import HIGHRES_BYTES, SOURCES
from workflow.plan.rates import PACK_HIGHRES, PAIRS_OVER_CHANCE, RATES

TREE = params.read(Path(__file__).parents[3] / "params.yaml")


def resolve(scale, *settings):
    return params.resolve(TREE, scale=scale, variant="franca", settings=settings)


def plan_of(scale, *settings):
    parameters = resolve(scale, *settings)
    return data_plan(parameters, known_source(parameters))


def test_what_only_its_owner_knows_is_not_guessed():
    assert known_source(resolve("tiny")) is None
    assert known_source(resolve("small")) is None


def test_relaion_can_just_give_what_the_paper_trained_on():
    plan = plan_of("vit_l_laion600m")
    assert plan.arrived[0] < plan.wanted < plan.arrived[1]
    assert plan.needed == pytest.approx((0.856e9, 1.198e9), rel=1e-3)
    assert plan.fetched == pytest.approx([value * 120e3 for value in plan.arrived])


def test_a_sample_of_the_rows_is_a_sample_of_everything():
    whole = plan_of("vit_l_laion600m")
    tenth = plan_of("vit_l_laion600m", "filter_metadata.sample_fraction=0.1")
    assert tenth.arrived == pytest.approx([value / 10 for value in whole.arrived])
    assert tenth.stored["fetch_metadata"] == whole.stored["fetch_metadata"]


def test_numbers_instead_of_a_preset_count_as_if_all_passed():
    thresholds = TREE["scales"]["tiny"]["filter_metadata"]["thresholds"]
    tree = {
        **TREE,
        "scales": params.merge(
            TREE["scales"], {"vit_l_laion600m": {"filter_metadata": {"thresholds": thresholds}}}
        ),
    }
    parameters = params.resolve(tree, scale="vit_l_laion600m", variant="franca")
    assert data_plan(parameters, known_source(parameters)).passing == (1.0, 1.0)


def test_images_to_fine_tune_on_are_those_of_whole_copies():
    assert highres_plan(resolve("vit_l_laion600m")).images == 1_444_270
    assert highres_plan(resolve("vit_g_laion600m")).images == 17_125
    part = "pack_highres.sets.kitti.partial=true"
    assert highres_plan(resolve("vit_l_laion600m", part)) is None
    assert highres_plan(resolve("micro")) is None  # nobody counted them yet
    assert highres_plan(resolve("tiny")) is None


def test_images_to_fine_tune_on_take_their_bytes_and_hours():
    parameters = resolve("vit_l_laion600m")
    plan = highres_plan(parameters)
    assert {source.name for source in parameters.pack_highres.sets.values()} == set(HIGHRES_BYTES)
    assert plan.image_bytes == pytest.approx(sum(HIGHRES_BYTES.values()))
    assert 100e3 < plan.image_bytes / plan.images < 150e3
    assert plan.stored > plan.image_bytes
    assert plan.core_hours == pytest.approx(1_444_270 / PACK_HIGHRES.per_second / 3600)


def test_a_local_source_is_copied_whole():
    plan = plan_of("vit_b_in21k")
    assert plan.fetched is None
    assert plan.arrived == (13_153_000, 13_153_000)
    assert plan.image_bytes == SOURCES["winter21_whole"].image_bytes


@pytest.mark.parametrize(("size", "image_bytes"), [(256, 42e3), (384, 87e3), (2048, 120e3)])
def test_stored_images_are_as_large_as_resizing_leaves_them(size, image_bytes):
    plan = plan_of("vit_l_laion600m", f"download_images.resize.size={size}")
    assert plan.image_bytes == image_bytes


def test_the_work_of_a_stage_follows_from_its_rate_and_what_it_is_given():
    plan = plan_of("vit_l_laion600m")
    hours = core_hours(plan)
    assert hours["fetch_metadata"] == pytest.approx(
        (plan.rows / RATES["fetch_metadata"].per_second / 3600,) * 2
    )
    assert hours["filter_images"] == pytest.approx(
        [images / RATES["filter_images"].per_second / 3600 for images in plan.arrived]
    )
    stored = plan.stored["download_images"]
    assert hours["pack_shards"] == pytest.approx(
        [size / RATES["pack_shards"].per_second / 3600 for size in stored]
    )


def test_near_pairs_grow_with_the_square_of_the_images():
    """So a rate in images, measured on few, does not hold: three bands of 21, 22 and 21 bits."""
    plan = plan_of("vit_l_laion600m")
    low, high = plan.arrived
    assert plan.pairs[1] / plan.pairs[0] == pytest.approx((high / low) ** 2)
    chance = 2**-21 + 2**-22 + 2**-21
    assert plan.pairs[0] == pytest.approx(PAIRS_OVER_CHANCE * low**2 / 2 * chance)
    assert plan_of("vit_b_in21k").pairs == (0, 0)  # hashes are not compared there


def test_local_images_are_copied_not_fetched():
    hours = core_hours(plan_of("vit_b_in21k"))
    assert hours["download_images"][1] < 13_153_000 / RATES["download_images"].per_second / 3600
    assert set(hours) == set(RATES)
