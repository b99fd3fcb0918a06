"""Parameters: overlays, friendly one-line errors, and golden copies of what scales resolve to.

After a deliberate change: `pytest tests/workflow/test_params.py --update-golden`; read the diff.
"""

import json
from pathlib import Path

import pytest

from workflow import params
from workflow.stages import BY_NAME, COMPARED, STAGES, params_file, receipt_file

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
TREE = params.read(ROOT / "params.yaml")
# Variants beyond the compared ones are meant for the paper's sizes: one copy each will do.
COPIES = [
    (scale, variant)
    for scale in TREE["scales"]
    for variant in TREE["variants"]
    if variant in COMPARED or scale == "vit_b_in21k"
]


def resolve(settings=(), scale="tiny", variant="franca", tree=TREE):
    return params.resolve(tree, scale=scale, variant=variant, settings=settings)


@pytest.mark.parametrize(("scale", "variant"), COPIES)
def test_every_scale_resolves_to_its_golden_copy(scale, variant, request):
    resolved = resolve(scale=scale, variant=variant).model_dump(mode="json")
    file = GOLDEN / f"{scale}.{variant}.json"
    if request.config.getoption("--update-golden"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(resolved, indent=1) + "\n")
    assert json.loads(file.read_text()) == resolved


def test_no_golden_copy_is_left_over():
    expected = {f"{scale}.{variant}" for scale, variant in COPIES}
    assert {file.stem for file in GOLDEN.glob("*.json")} == expected


@pytest.mark.parametrize("variant", TREE["variants"])
def test_every_variant_goes_with_every_scale(variant):
    for scale in TREE["scales"]:
        levels = resolve(scale=scale, variant=variant).pretrain.dino_head.levels
        assert (len(levels) == 1) == (variant == "dinov2")


def test_merge_merges_mappings_and_replaces_the_rest():
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 0}
    above = {"a": {"c": [3]}, "e": {"f": 1}}
    assert params.merge(below, above) == {"a": {"b": 1, "c": [3]}, "d": 0, "e": {"f": 1}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 0}


def test_variant_is_laid_over_scale_over_base():
    tree = {
        **TREE,
        "scales": {"one": params.merge(TREE["scales"]["tiny"], {"seed": 1})},
        "variants": {"two": {"seed": 2}, "none": {}},
    }
    assert resolve(tree=tree, scale="one", variant="none").seed == 1
    assert resolve(tree=tree, scale="one", variant="two").seed == 2
    assert resolve(["seed=3"], tree=tree, scale="one", variant="two").seed == 3


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("seeed=1", ["unknown key '--set seeed'", "did you mean 'seed'?"]),
        ("pretrain.stepss=1", ["unknown key '--set pretrain.stepss'", "'steps'"]),
        ("seed=-1", ["--set seed", "greater than or equal to 0", "-1"]),
        ("seed=many", ["--set seed", "valid integer", "'many'"]),
        ("seed", ["--set seed", "key.path=value"]),
        ("rasa.image_set=voc", ["rasa.image_set: 'voc' is not among pack_highres.sets", "null"]),
    ],
)
def test_a_mistake_is_one_line_that_names_key_and_remedy(setting, words):
    with pytest.raises(params.ParameterError) as caught:
        resolve([setting])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_the_layer_that_holds_the_mistake_is_named():
    tree = {**TREE, "scales": {"tiny": params.merge(TREE["scales"]["tiny"], {"sed": 1})}}
    with pytest.raises(params.ParameterError, match=r"'scales\.tiny\.sed'.*'seed'"):
        resolve(tree=tree)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scale: a\nscale: b\n", "key 'scale' appears twice"),
        ("scal: a\n", "unknown key 'scal'; did you mean 'scale'?"),
        ("scale: a\n", "the key 'variant' is missing"),
        ("scale: [\n", "not valid YAML"),
        ("", "expected a mapping"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, text, words):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(params.ParameterError, match=words) as caught:
        params.read(file)
    assert "\n" not in str(caught.value)


def test_an_unknown_scale_suggests_a_known_one():
    with pytest.raises(params.ParameterError, match="no scale 'tinny'; did you mean 'tiny'"):
        params.select(TREE, scale="tinny", variant=None)


def test_resolved_files_are_touched_only_where_something_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"scale": "tiny", "variant": "franca"}
    params.write_resolved(resolve(), **names)
    files = [params_file(stage, **names) for stage in STAGES]
    for file in files:
        file.touch()
    before = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}
    params.write_resolved(resolve(["pretrain.run.log_every=7"]), **names)
    changed = {f for f in files if (f.stat().st_mtime_ns, f.stat().st_ino) != before[f]}
    assert changed == {params_file(BY_NAME["pretrain"], **names)}


def test_parameters_that_a_receipt_confirms_are_older_than_it(tmp_path, monkeypatch):
    """DVC deletes and rewrites these files; Snakemake must not take that for a change."""
    monkeypatch.chdir(tmp_path)
    names = {"scale": "tiny", "variant": "franca"}
    stage = BY_NAME["scenes"]
    receipt = receipt_file(stage, **names)
    receipt.parent.mkdir(parents=True)
    receipt.write_text(json.dumps({"parameters": params.stage_parameters(resolve(), stage)}))
    params.write_resolved(resolve(), **names)
    file = params_file(stage, **names)
    assert file.stat().st_mtime < receipt.stat().st_mtime
    params.write_resolved(resolve(["seed=9"]), **names)
    assert file.stat().st_mtime >= receipt.stat().st_mtime
