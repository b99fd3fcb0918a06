"""Verdicts of the image stage."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from data_filters.stages import filter_images


def test_every_image_that_arrived_has_a_verdict(chain):
    for raw in sorted(chain.folders["download_images"].glob("*/raw/*.parquet")):
        arrived = [row["row_id"] for row in pq.read_table(raw).to_pylist() if row["kept"]]
        group = raw.parent.parent.name
        verdicts = chain.table("filter_images", f"{group}/verdicts/{raw.name}")
        assert [verdict["row_id"] for verdict in verdicts] == arrived
        for verdict in verdicts:
            assert verdict["kept"] == (verdict["reason"] is None) == (verdict["width"] is not None)


def test_the_ablation_counts_what_each_filter_would_drop_alone(chain, world, stages, tmp_path):
    """The bomb, the animation and the cut image are small or long as well under these limits."""
    changes = {"min_side": 40, "max_aspect_ratio": 3.0, "min_entropy": 1.0}

    def judged(name, changes):
        how = {"names": ["filter_images"], "inputs": chain.folders, "filter_images": changes}
        return stages(world, tmp_path / name, **how)

    run = judged("all", changes)
    found = json.loads((run.folders["filter_images"] / "ablation.json").read_text())
    effects = {effect["filter"]: effect for effect in found["filters"]}
    for name, effect in effects.items():
        changes = {"min_side": None, "max_aspect_ratio": None, "min_entropy": None}
        changes |= {"allow_animated": True}
        changes |= {
            "shape": {"min_side": 40, "max_aspect_ratio": 3.0},
            "uniformity": {"min_entropy": 1.0},
            "animation": {"allow_animated": False},
        }.get(name, {})
        dropped = judged(name, changes).funnel("filter_images").get(name, {})
        assert effect["alone"] == sum(dropped.values()), name
    in_sequence = {name: sum(why.values()) for name, why in run.funnel("filter_images").items()}
    assert {name: effect["in_sequence"] for name, effect in effects.items()} == in_sequence
    assert found["rows"] == run.summaries["filter_images"]["images"]


def test_too_many_unreadable_images_stop_the_pipeline(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"1 of \d+ images cannot be decoded, more than .* 0\.0%"):
        stages(
            world,
            tmp_path,
            names=["filter_images"],
            inputs=chain.folders,
            filter_images={"max_unreadable_rate": 0.0},
        )


def test_when_nothing_passes_the_worst_filter_is_named(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"none of \d+ images passes; most are dropped by shape"):
        stages(
            world,
            tmp_path,
            names=["filter_images"],
            inputs=chain.folders,
            filter_images={"min_side": 1000},
        )


def scored(chain, world, stages, place, models, **changes):
    return stages(
        world,
        place,
        names=["filter_images"],
        inputs=chain.folders,
        filter_images={"models": models, **changes},
    )


def test_models_judge_last_and_their_scores_are_kept(
    chain, world, stages, tmp_path, tiny_clip, tiny_onnx
):
    models = [
        {"kind": "onnx", "name": "redness", "network": tiny_onnx, "index": 0, "max_score": 0.5},
        {"kind": "clip_similarity", "name": "similarity", "clip": tiny_clip, "min_score": 0.0},
    ]
    run = scored(chain, world, stages, tmp_path / "a", models)
    before, after = chain.funnel("filter_images"), run.funnel("filter_images")
    assert list(after) == [*before, "redness", "similarity"]
    assert {name: after[name] for name in before} == before
    assert set(after["redness"]) == {"score_too_high"}
    assert (
        run.summaries["filter_images"]["kept"]
        + after["redness"]["score_too_high"]
        + sum(after["similarity"].values())
        == chain.summaries["filter_images"]["kept"]
    )
    verdicts = {row["row_id"]: row for row in run.tables("filter_images", "*/verdicts/*")}
    alone = Counter()
    for row in run.tables("filter_images", "*/scores/*"):
        too_much = row["score"] > 0.5 if row["model"] == "redness" else row["score"] < 0
        filtered = verdicts[row["row_id"]]["filter"]
        assert too_much or filtered != row["model"]
        assert filtered is not None or not too_much
        alone[row["model"]] += too_much
    found = json.loads((run.folders["filter_images"] / "ablation.json").read_text())
    effects = {effect["filter"]: effect for effect in found["filters"]}
    uncaptioned = sum(
        rule["rows"] for rule in found["rules"] if rule["reason"] == "caption_missing"
    )
    assert effects["redness"]["alone"] == alone["redness"] > effects["redness"]["in_sequence"]
    assert effects["similarity"]["alone"] == alone["similarity"] + uncaptioned
    assert {name: effect["in_sequence"] for name, effect in effects.items()} == {
        name: sum(why.values()) for name, why in after.items()
    }


def test_the_size_of_the_batches_changes_no_score(chain, world, stages, tmp_path, tiny_clip):
    models = [
        {"kind": "clip_similarity", "name": "similarity", "clip": tiny_clip, "min_score": -1.0}
    ]
    runs = [
        scored(chain, world, stages, tmp_path / str(size), models, batch_size=size)
        for size in (1, 5)
    ]
    one, other = (run.tables("filter_images", "*/scores/*") for run in runs)
    assert len(one) >= chain.summaries["filter_images"]["kept"]  # of what pixels drop, too
    for row, again in zip(one, other, strict=True):
        assert row == {**again, "score": pytest.approx(again["score"], abs=2e-4)}


def test_a_killed_group_goes_on_with_the_shards_that_are_left(
    chain, world, stages, tmp_path, tiny_onnx, monkeypatch
):
    models = [
        {"kind": "onnx", "name": "redness", "network": tiny_onnx, "index": 0, "max_score": 0.5}
    ]
    whole = scored(chain, world, stages, tmp_path / "whole", models).folders["filter_images"]
    judge, judged = filter_images.judge_images, []

    def killed_at_the_second(*arguments, **options):
        if judged:
            raise KeyboardInterrupt
        judged.append(1)
        return judge(*arguments, **options)

    monkeypatch.setattr(filter_images, "judge_images", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        scored(chain, world, stages, tmp_path / "killed", models)
    judged.clear()
    monkeypatch.setattr(
        filter_images, "judge_images", lambda *a, **k: judged.append(1) or judge(*a, **k)
    )
    again = scored(chain, world, stages, tmp_path / "killed", models).folders["filter_images"]
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    assert len(judged) == len([file for file in files if file.parent.name == "verdicts"]) - 1
    assert sorted(file.relative_to(again) for file in again.rglob("*") if file.is_file()) == files
    for file in files:
        assert (again / file).read_bytes() == (whole / file).read_bytes(), file
