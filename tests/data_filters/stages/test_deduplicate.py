"""Duplicates and leaks."""

from types import SimpleNamespace

import pytest

from data_filters.stages import deduplicate


def reasons(run):
    return run.funnel("deduplicate")


def test_what_was_planted_is_found(chain):
    assert reasons(chain) == {
        "evaluation_sets": {"near_duplicate": 1, "same_bytes": 1},
        "duplicates": {"near_duplicate": 1, "same_pixels": 1},
    }
    index = chain.table("deduplicate", "evaluation_index.parquet")
    assert [(row["set"], row["place"]) for row in index] == [
        ("held", "val/60.jpg"), ("held", "val/61.jpg"),
    ]  # fmt: skip


def test_without_looks_only_exact_copies_go(chain, world, stages, tmp_path):
    exact = stages(
        world,
        tmp_path,
        names=["deduplicate"],
        inputs=chain.folders,
        deduplicate={"near_duplicate_radius": None, "evaluation_radius": None},
    )
    assert reasons(exact) == {
        "evaluation_sets": {"same_bytes": 1},
        "duplicates": {"same_pixels": 1},
    }


def run(chain, tmp_path, parameters, sets):
    cfg = deduplicate.Deduplicate(**parameters["deduplicate"])
    groups = sorted(chain.folders["deduplicate"].glob("group-*"))
    return deduplicate.gather(
        cfg,
        seed=0,
        parts={group.name: group for group in groups},
        inputs=chain.folders,
        output=tmp_path / "out",
        work=tmp_path / "work",
        evaluation_sets=sets,
    )


def declared(root, layout="folder"):
    return {"mine": SimpleNamespace(root=str(root), kind="knn", format=layout)}


def test_the_copies_of_a_leak_go_with_it(chain, tmp_path, parameters, jpeg):
    (tmp_path / "set").mkdir()
    # good-02.jpg itself, of which smaller.jpg is a copy
    (tmp_path / "set" / "a.jpg").write_bytes(jpeg(2))
    parameters = {"deduplicate": {**parameters["deduplicate"], "evaluation_radius": None}}
    summary = run(chain, tmp_path, parameters, declared(tmp_path / "set"))
    assert summary["leaks"] == 2
    verdicts = {
        (row["filter"], row["reason"])
        for file in sorted((tmp_path / "out" / "verdicts").iterdir())
        for row in deduplicate.pq.read_table(file).to_pylist()
    }
    assert {("evaluation_sets", "same_bytes"), ("evaluation_sets", "copy_of_leak")} <= verdicts


@pytest.mark.parametrize("content", [None, b"", b"\xff\xd8\xff\xe0 no image"])
def test_a_set_that_cannot_be_indexed_stops_the_pipeline(chain, tmp_path, parameters, content):
    (tmp_path / "set").mkdir()
    if content is not None:
        (tmp_path / "set" / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"evaluation_sets\.mine"):
        run(chain, tmp_path, parameters, declared(tmp_path / "set"))


def test_training_splits_may_stay_or_go(chain, tmp_path, parameters, jpeg):
    for split, number in {"train": 3, "val": 4}.items():
        (tmp_path / "set" / split).mkdir(parents=True)
        (tmp_path / "set" / split / "a.jpg").write_bytes(jpeg(number))
    for splits, leaks in {"held_out": 1, "all": 2}.items():
        changed = {"deduplicate": {**parameters["deduplicate"], "evaluation_splits": splits}}
        (tmp_path / splits).mkdir()
        summary = run(chain, tmp_path / splits, changed, declared(tmp_path / "set"))
        assert summary["leaks"] == leaks
