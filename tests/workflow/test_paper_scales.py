"""The paper's scales: its numbers, heads with and without more parameters, and a plan of all of it.

Sources: Franca (arXiv 2507.14137), Tables 6 and 8 and appendix B.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_filters.dedup.evaluation import LAYOUTS
from data_filters.metadata.presets import PRESETS
from data_filters.metadata.presets import resolve as thresholds
from franca.config.evaluation_sets import EvaluationSet
from franca.eval.inputs.kinds import KINDS
from franca.eval.published import published_numbers
from franca.eval.registry import BENCHMARKS
from franca.heads.matryoshka import MatryoshkaHead
from franca.models.archs import ARCHS
from franca.train.schedules import scaled_learning_rate
from workflow import params
from workflow.stages import BY_NAME

ROOT = Path(__file__).parents[2]
TREE = params.read(ROOT / "params.yaml")
SCALES = ("vit_b_in21k", "vit_l_laion600m", "vit_g_laion600m")


def resolve(scale, variant="franca"):
    return params.resolve(TREE, scale=scale, variant=variant)


@pytest.mark.parametrize(
    ("scale", "arch", "drop_path", "batch_size", "learning_rate", "global_scale"),
    [
        ("vit_b_in21k", "vit_b14", 0.1, 2048, 1e-3, (0.32, 1.0)),
        ("vit_l_laion600m", "vit_l14", 0.4, 3072, 3.5e-4, (0.48, 1.0)),
        ("vit_g_laion600m", "vit_g14", 0.4, 3072, 3.5e-4, (0.48, 1.0)),
    ],
)
def test_pretraining_is_the_papers(scale, arch, drop_path, batch_size, learning_rate, global_scale):
    cfg = resolve(scale).pretrain
    assert (cfg.model.arch, cfg.model.drop_path, cfg.model.layer_scale) == (arch, drop_path, 1e-5)
    assert (cfg.global_batch_size, cfg.steps, cfg.schedule.warmup_steps) == (
        batch_size,
        625_000,
        100_000,
    )
    peak = scaled_learning_rate(cfg.schedule.base_learning_rate, batch_size=batch_size)
    assert peak == pytest.approx(learning_rate, rel=1e-3)
    assert cfg.augment.global_crops.scale == global_scale
    assert cfg.augment.local_crops.scale == (0.05, 0.32)
    assert (cfg.augment.global_crops.size, cfg.augment.local_crops.size) == (224, 98)
    assert cfg.masking.kind == "cyclic"
    assert cfg.dino_head.levels == (0.0625, 0.125, 0.25, 0.5, 1.0)
    assert (cfg.dino_head.mode, cfg.dino_head.num_prototypes) == ("slice", 131_072)


@pytest.mark.parametrize("scale", SCALES)
def test_what_all_three_scales_share_is_the_papers(scale):
    """Appendix B, and the released configurations where they agree with each other."""
    cfg = resolve(scale).pretrain.model_dump()
    head = {"hidden_dim": 2048, "num_layers": 3, "normalization": "dinov2", "batch_norm": False}
    assert cfg["dino_head"].items() >= (head | {"bottleneck_dim": 384}).items()
    assert cfg["ibot_head"].items() >= (head | {"bottleneck_dim": 256}).items()
    assert cfg["ibot_head"]["num_prototypes"] == 131_072
    assert cfg["masking"] == {
        "kind": "cyclic", "probability": 0.5, "ratio": (0.1, 0.65), "counts": "uniform",
        "min_aspect": 0.3, "padded": False,
    }  # fmt: skip
    assert cfg["objective"] == {
        "dino_weight": 1.0, "ibot_weight": 1.0, "koleo_weight": 0.1, "level_weights": None,
        "level_reduction": "sum", "student_temperature": 0.1, "targets": "sinkhorn",
        "sinkhorn_iterations": 3,
    }  # fmt: skip
    assert cfg["optimizer"] == {
        "beta1": 0.9, "beta2": 0.999, "clip_norm": 3.0, "layer_decay": 1.0,
        "patch_embed_multiplier": 0.2,
    }  # fmt: skip
    schedule = cfg["schedule"]
    del schedule["base_learning_rate"]  # differs
    assert schedule == {
        "final_learning_rate": 1e-6, "warmup_steps": 80 * 1250, "frozen_last_layer_steps": 1250,
        "weight_decay": (0.04, 0.2), "momentum": (0.994, 1.0),
        "teacher_temperature": (0.04, 0.07), "teacher_temperature_steps": 30 * 1250,
    }  # fmt: skip
    augment = cfg["augment"]
    assert (augment["local_crops"]["count"], augment["flip"], augment["grayscale"]) == (8, 0.5, 0.2)
    assert augment["jitter"] == {
        "probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1,
    }  # fmt: skip
    assert augment["blur"] == {
        "kernel_size": 9, "sigma": (0.1, 2.0), "first_global": 1.0, "second_global": 0.1,
        "local": 0.5, "legacy": False,
    }  # fmt: skip
    assert augment["solarize"] == {"probability": 0.2, "threshold": 128}
    assert (cfg["model"]["registers"], cfg["model"]["interpolation"]) == (0, "franca")
    assert cfg["images_per_group"] == 32


@pytest.mark.parametrize("scale", ["vit_b_in21k", "vit_l_laion600m"])
def test_fine_tuning_is_the_papers(scale):
    cfg = resolve(scale).finetune_highres
    parts = [(part.global_size, part.local_size, part.steps) for part in cfg.sub_stages]
    assert parts == [(364, 112, 30_000), (518, 168, 10_000)]
    assert (cfg.global_batch_size, cfg.schedule.base_learning_rate) == (1024, 1.25e-5)
    assert (cfg.schedule.warmup_steps, cfg.schedule.teacher_temperature_steps) == (10_000, 10_000)
    assert (cfg.carry_heads, cfg.carry_optimizer, cfg.drop_path) == (True, False, 0.1)


@pytest.mark.parametrize("scale", SCALES[:2])
def test_fine_tuning_sees_the_papers_mix_and_rasa_its_voc(scale):
    """Table 6: 1,444,270 images for fine-tuning, 17,125 for RASA."""
    parameters = resolve(scale)
    sets = parameters.pack_highres.sets
    assert sum(source.expected.rows for source in sets.values()) == 1_444_270
    assert sets[parameters.rasa.image_set].expected.rows == 17_125
    assert parameters.rasa.max_images is None
    assert "voc2012" in parameters.evaluation_sets  # so that its validation images are dropped


def test_fine_tuning_leaves_the_giant_as_it_is():
    """The paper does not fine-tune it; what is published is the teacher."""
    cfg = resolve("vit_g_laion600m").finetune_highres
    assert [(part.global_size, part.steps) for part in cfg.sub_stages] == [(224, 1)]
    assert cfg.schedule.momentum == (1.0, 1.0)


def test_rasa_of_the_giant_sees_voc():
    parameters = resolve("vit_g_laion600m")
    assert list(parameters.pack_highres.sets) == [parameters.rasa.image_set] == ["voc2012"]


def test_imagenet_21k_is_taken_whole():
    parameters = resolve("vit_b_in21k")
    assert thresholds(parameters.filter_metadata.thresholds) == PRESETS["franca_paper"]
    limits = parameters.filter_images
    assert (limits.min_side, limits.max_aspect_ratio, limits.min_entropy) == (None, None, None)
    assert parameters.deduplicate.near_duplicate_radius is None


@pytest.mark.parametrize("scale", SCALES)
def test_every_task_has_its_set_and_every_known_set_exists(scale):
    parameters = resolve(scale)
    sets = parameters.evaluation_sets
    assert {task.evaluation_set for task in parameters.evaluate.tasks} <= set(sets)
    assert {one.known_set for one in sets.values()} - {None} <= set(sets)
    assert all(one.root.startswith("data/") for one in sets.values())


def test_whatever_layout_a_set_may_have_it_can_be_kept_out_of_the_training_data():
    formats = EvaluationSet.model_json_schema()["properties"]["format"]
    names = {name for each in formats["anyOf"] for name in each["enum"]}
    assert len(names) > 20
    assert names == set(LAYOUTS)


@pytest.mark.parametrize("benchmark", ["tokencut", "video_segmentation"])
def test_tasks_meet_the_conditions_of_the_papers_numbers(benchmark):
    parameters = resolve("vit_b_in21k")
    evaluate, rows = (
        parameters.evaluate,
        [r for r in published_numbers() if r.benchmark == benchmark],
    )
    measured = {spec.name for spec in BENCHMARKS[benchmark].metrics}
    tasks = {t.evaluation_set for t in evaluate.tasks if t.benchmark == benchmark}
    assert {row.dataset for row in rows} == tasks
    for row in rows:
        assert row.metric in measured
        kind = parameters.evaluation_sets[row.dataset].kind
        assert kind in KINDS[BENCHMARKS[benchmark].kind].set_kinds
        fixed = {key: value for key, value in row.conditions.items() if key != "n"}
        found = {"frame_side": evaluate.frame_side} | {
            f"parameters.{key}": value for key, value in getattr(evaluate, benchmark)
        }
        assert fixed.items() <= found.items()


def test_the_released_behaviour_is_a_variant_and_nothing_of_it_a_default():
    def behaviour(variant):
        parameters = resolve("vit_b_in21k", variant)
        cfg = parameters.pretrain
        heads = {(head.mode, head.normalization) for head in (cfg.dino_head, cfg.ibot_head)}
        return (
            heads,
            cfg.augment.blur.legacy,
            cfg.masking.padded,
            parameters.finetune_highres.carry_heads,
            parameters.rasa.preset,
        )

    released = ({("project", "franca_release")}, True, True, False, "released")
    corrected = ({("slice", "dinov2")}, False, False, True, "paper")
    assert behaviour("franca_released") == released
    assert behaviour("franca") == behaviour("dinov2") == corrected


def student_heads(variant, scale):
    """Parameters of a student's two stacks, counted by torch on the meta device."""
    cfg = resolve(scale, variant).pretrain
    with torch.device("meta"):
        stacks = [
            MatryoshkaHead(dim=ARCHS[cfg.model.arch].width, **head.model_dump())
            for head in (cfg.dino_head, cfg.ibot_head)
        ]
    return sum(parameter.numel() for stack in stacks for parameter in stack.parameters())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("variant", "low", "high"),
    [
        ("franca", 2.23, 2.25),
        ("franca_neutral", 0.97, 1.0),
        ("franca_neutral_three", 0.97, 1.0),
    ],
)
def test_head_parameters_compared_with_a_single_level(scale, variant, low, high):
    ratio = student_heads(variant, scale) / student_heads("dinov2", scale)
    assert low < ratio <= high


def test_neutral_heads_have_the_prototypes_of_a_single_level():
    for variant in ("franca_neutral", "franca_neutral_three"):
        head = resolve("vit_l_laion600m", variant).pretrain.dino_head
        total = sum(int(head.num_prototypes * level) for level in head.levels)
        assert total == pytest.approx(131_072, abs=4)


# The whole reproduction is planned, and nothing heavy is imported for it.
_DRY_RUN = """
import sys
from snakemake.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
assert "torch" not in sys.modules, "a dry run imported torch"
"""


@pytest.mark.parametrize(
    ("scale", "variant"),
    [
        ("small", "franca_neutral"),
        (SCALES[0], "franca"),
        (SCALES[1], "dinov2"),
        (SCALES[2], "franca"),
    ],
)
def test_a_dry_run_plans_every_stage(scale, variant, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    config = ["--config", f"scale={scale}", f"variant={variant}"]
    profile = ["--workflow-profile", str(ROOT / "workflow/profiles/local")]
    place = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), *profile]
    done = subprocess.run(
        [sys.executable, "-c", _DRY_RUN, "-n", "--quiet", "rules", *place, *config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    planned = {line.split()[0] for line in (done.stdout + done.stderr).splitlines() if line.split()}
    assert set(BY_NAME) <= planned
