"""Duplicates and leaks."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
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


SELECTIONS = {
    "exact": {"kind": "components", "neighbours": 4, "lists": None, "probes": 1},
    "inverted file": {"kind": "components", "neighbours": 4, "lists": 3, "probes": 3},
    "semdedup": {"kind": "semdedup", "clusters": 2},
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_embeddings_find_what_looks_alike(
    chain, world, stages, tmp_path, thumbnail_onnx, selection
):
    semantic = {
        "network": thumbnail_onnx,
        "device": "cpu",
        "batch_size": 3,
        "min_cosine": 0.98,
        "evaluation_min_cosine": 0.98,
        "selection": SELECTIONS[selection],
    }
    run = stages(
        world,
        tmp_path,
        names=["deduplicate"],
        inputs=chain.folders,
        deduplicate={
            "near_duplicate_radius": None, "evaluation_radius": None, "semantic": semantic,
        },
    )  # fmt: skip
    assert reasons(run) == {
        "evaluation_sets": {"semantic_duplicate": 1, "same_bytes": 1},
        "duplicates": {"semantic_duplicate": 1, "same_pixels": 1},
    }
    for group in sorted(run.folders["deduplicate"].glob("group-*")):
        for file in (group / "signatures").iterdir():
            embeddings = np.load(group / "embeddings" / f"{file.stem}.npy")
            number = pq.read_metadata(file).num_rows
            assert embeddings.shape == (number, 48 if number else 0)
            assert embeddings.dtype == np.float16
    assert np.load(run.folders["deduplicate"] / "evaluation_index.npy").shape == (2, 48)


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
    return {"mine": SimpleNamespace(root=str(root), kind="knn", format=layout, test_split="val")}


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


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("crops", [[], [0.25]])
def test_mirror_images_and_crops_of_evaluation_images_leak_where_configured(
    chain, tmp_path, parameters, picture, encode, crops, mirrored
):
    """good-05.jpg is the middle of an evaluation image, and good-04.jpg another one mirrored."""
    whole = np.pad(picture(5), ((24, 24), (32, 32), (0, 0)), mode="reflect")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(encode(picture(4)[:, ::-1], "PNG"))
    (tmp_path / "set" / "b.png").write_bytes(encode(whole, "PNG"))
    more = {"evaluation_crops": crops, "evaluation_mirrored": mirrored}
    changed = {"deduplicate": {**parameters["deduplicate"], **more}}
    done = run(chain, tmp_path, changed, declared(tmp_path / "set"))
    assert done["leaks"] == len(crops) + mirrored
