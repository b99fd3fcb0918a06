"""Every kind of benchmark can be prepared, and from one kind of set only."""

import re
from pathlib import Path
from typing import get_args

import pytest

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.benchmark import Kind
from franca.eval.inputs.kinds import KINDS, check_task, fits
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.registry import BENCHMARKS
from tests.franca.config.sections import SEGMENTATION
from tests.franca.eval.worlds import write_folder, write_videos, write_voc


def test_every_kind_has_a_preparation_and_kinds_of_sets_that_can_be_declared():
    assert set(KINDS) == set(get_args(Kind))
    allowed = get_args(EvaluationSet.model_fields["kind"].annotation)
    assert {name for kind in KINDS.values() for name in kind.set_kinds} <= set(allowed)


def test_every_benchmark_accepts_its_kind_of_set_and_refuses_another(store):
    declared = {"dense": EvaluationSet(**(SEGMENTATION | {"num_classes": 3}))}
    sets = EvaluationSets(all=declared, scenes=Path("/world"), store=store)
    for benchmark in BENCHMARKS.values():
        if "segmentation" in KINDS[benchmark.kind].set_kinds:
            check_task(benchmark, sets, "dense")
        else:
            with pytest.raises(ValueError, match=f"runs {benchmark.name} on dense, a segmentation"):
                check_task(benchmark, sets, "dense")


def test_a_set_is_known_by_the_novel_sets_that_name_it(store):
    labels = SEGMENTATION | {"format": "folder", "num_classes": None, "ignore_index": None}
    declared = {
        "objects": EvaluationSet(**(labels | {"kind": "classification"})),
        "others": EvaluationSet(**(labels | {"kind": "classification"})),
        "odd": EvaluationSet(
            **(labels | {"kind": "novel", "known_set": "objects", "group": "far"})
        ),
    }
    assert [name for name in declared if fits("novelty", declared, name)] == ["objects"]
    sets = EvaluationSets(all=declared, scenes=Path("/world"), store=store)
    check_task(BENCHMARKS["ood"], sets, "objects")
    with pytest.raises(ValueError, match="no novel set of evaluation_sets has known_set: others"):
        check_task(BENCHMARKS["ood"], sets, "others")


def test_what_keeps_its_size_says_what_goes_through_the_model_and_what_it_takes(store, tmp_path):
    write_voc(tmp_path / "voc", {"train": 1, "val": 3}, size=18)
    write_videos(tmp_path / "videos", {"first": 4, "second": 3})
    labels = {"num_classes": None, "ignore_index": None, "train_split": None}
    video = {"kind": "video", "format": "davis", "root": str(tmp_path / "videos")}
    declared = {
        "dense": EvaluationSet(**(SEGMENTATION | {"root": str(tmp_path / "voc")})),
        "videos": EvaluationSet(**(SEGMENTATION | labels | video)),
    }
    sets = EvaluationSets(all=declared, scenes=Path("/world"), store=store)
    keys, frames = (
        KINDS[kind].prepare(sets, name)
        for kind, name in (("discovery", "dense"), ("video", "videos"))
    )
    assert (keys.images, keys.input_size, keys.space) == (3, (20, 20), (3 * 25 * 48 * 2, 0))
    assert (frames.images, frames.input_size, frames.space) == (7, (20, 16), (7 * 20 * 48 * 2, 0))
    assert store.seconds_per_image(frames.input_size) > 0


LAYOUTS = {
    "parquet": r"expected {root}/val-\*\.parquet with columns image",
    "folder": r"expected images as {root}/val/<class>/<image>; found none",
    "openood": r"OpenOOD; {root}/benchmark_imglist/imagenet/test_val\.txt does not exist",
    "voc": r"expected .*; {root}/ImageSets/Segmentation/val\.txt does not exist",
    "voc_detection": r"PASCAL VOC layout; {root}/ImageSets/Main/val\.txt does not exist",
    "davis": r"DAVIS.*{root}/ImageSets/2017/val\.txt does not exist",
    "pairs": r"rendered pairs; {root}/pairs\.json does not exist",
    "spair": r"SPair-71k; {root}/Layout/large/val\.txt does not exist",
    "views": r"expected views as {root}/<scene>/cameras\.json; found none",
    "navi": r"expected NAVI as {root}/<object>/val/annotations\.json; found none",
    "scannet": r"ScanNet's test pairs; {root}/val\.npz does not exist",
}
FORMATS = {
    "classification": ("parquet", "folder"),
    "novel": ("parquet", "folder", "openood"),
    "segmentation": ("voc",),
    "detection": ("voc_detection",),
    "video": ("davis",),
    "pairs": ("pairs", "spair"),
    "geometry": ("voc",),
    "views": ("views", "navi", "scannet"),
}


# Retrieval, shifted sets and the layouts of fine-grained sets have tests beside their readers.
WITH_LAYOUTS = [kind for kind, each in KINDS.items() if set(each.set_kinds) <= set(FORMATS)]


@pytest.mark.parametrize("kind", WITH_LAYOUTS)
def test_a_set_that_is_not_there_is_one_line_with_its_layout_and_the_path(kind, store, tmp_path):
    labels = SEGMENTATION | {"root": str(tmp_path), "train_split": "val"}
    for set_kind in KINDS[kind].set_kinds:
        for layout in FORMATS[set_kind]:
            declared = EvaluationSet(**(labels | {"kind": set_kind, "format": layout}))
            sets = EvaluationSets(all={"gone": declared}, scenes=tmp_path, store=store)
            wanted = LAYOUTS[layout].replace("{root}", re.escape(str(tmp_path)))
            with pytest.raises(FileNotFoundError, match=wanted) as caught:
                KINDS[kind].prepare(sets, "gone")
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["classification", "fine_grained", "probe", "novelty"])
def test_a_set_of_one_class_is_refused(store, tmp_path, kind):
    for split in ("train", "val"):
        write_folder(tmp_path, split, {"a": 2})
    labels = {"kind": "classification", "format": "folder", "root": str(tmp_path)}
    known = EvaluationSet(**(SEGMENTATION | {"num_classes": None, "ignore_index": None} | labels))
    sets = EvaluationSets(all={"known": known}, scenes=tmp_path, store=store)
    with pytest.raises(ValueError, match=r"evaluation_sets.known: .* has one class, 'a'"):
        KINDS[kind].prepare(sets, "known")


def test_a_novel_set_that_is_not_there_is_named_too(store, tmp_path):
    write_folder(tmp_path / "known", "train", {"a": 1, "b": 1})
    write_folder(tmp_path / "known", "val", {"a": 1, "b": 1})
    labels = SEGMENTATION | {"num_classes": None, "ignore_index": None}
    known = labels | {"kind": "classification", "format": "folder", "root": str(tmp_path / "known")}
    for layout in FORMATS["novel"]:
        odd = {"kind": "novel", "format": layout, "root": str(tmp_path), "known_set": "known"}
        declared = {
            "known": EvaluationSet(**known),
            "odd": EvaluationSet(**(labels | odd | {"group": "far"})),
        }
        sets = EvaluationSets(all=declared, scenes=tmp_path, store=store)
        wanted = LAYOUTS[layout].replace("{root}", re.escape(str(tmp_path)))
        with pytest.raises(FileNotFoundError, match=wanted):
            KINDS["novelty"].prepare(sets, "known")
