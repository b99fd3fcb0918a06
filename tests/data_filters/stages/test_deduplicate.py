"""Duplicates and leaks."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_filters.dedup.signatures import sign
from data_filters.io.parquet import write_rows
from data_filters.io.pixels import decode, open_image, pixel_digest
from data_filters.records import IMAGE_VERDICT, RAW_IMAGE, SIGNATURE
from data_filters.stages import deduplicate
from tests.reference.deduplication import judged


def reasons(run):
    return run.funnel("deduplicate")


def test_what_was_planted_is_found(chain):
    assert reasons(chain) == {
        "evaluation_sets": {"near_duplicate": 4, "same_bytes": 1},
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
    "exact": {"kind": "components", "lists": None, "probes": 1},
    "inverted file": {"kind": "components", "lists": 3, "probes": 3},
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


def test_a_killed_group_goes_on_with_the_shards_that_are_left(
    chain, world, stages, tmp_path, thumbnail_onnx, monkeypatch
):
    semantic = {
        "network": thumbnail_onnx, "device": "cpu", "batch_size": 3, "min_cosine": 0.98,
        "evaluation_min_cosine": 0.98, "selection": SELECTIONS["exact"],
    }  # fmt: skip

    def signed(place):
        done = stages(
            world,
            place,
            names=["deduplicate"],
            inputs=chain.folders,
            deduplicate={"semantic": semantic},
        )
        return done.folders["deduplicate"]

    whole, described = signed(tmp_path / "whole"), []
    describe = deduplicate._describe_shard

    def killed_at_the_second(table, **options):
        if described:
            raise KeyboardInterrupt
        described.append(table)
        return describe(table, **options)

    monkeypatch.setattr(deduplicate, "_describe_shard", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        signed(tmp_path / "killed")
    (first,) = described
    monkeypatch.setattr(
        deduplicate,
        "_describe_shard",
        lambda table, **options: described.append(table) or describe(table, **options),
    )
    again = signed(tmp_path / "killed")
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    assert described.count(first) == 1
    assert len(described) == len([file for file in files if file.parent.name == "signatures"])
    assert sorted(file.relative_to(again) for file in again.rglob("*") if file.is_file()) == files
    for file in files:
        assert (again / file).read_bytes() == (whole / file).read_bytes(), file


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


def test_sets_that_share_a_folder_are_each_indexed_by_what_they_score(
    chain, tmp_path, parameters, jpeg
):
    """One is scored on its training split; the other, which comes later, is not."""
    for split, number in {"train": 3, "val": 4}.items():
        (tmp_path / "set" / split).mkdir(parents=True)
        (tmp_path / "set" / split / "a.jpg").write_bytes(jpeg(number))
    (one,) = declared(tmp_path / "set").values()
    sets = {"a": SimpleNamespace(**{**vars(one), "test_split": "train"}), "b": one}
    assert run(chain, tmp_path, parameters, sets)["leaks"] == 2


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


def described(data):
    """A row of records.EVALUATION_SIGNATURE, but for its name and crops."""
    return {**sign(data)._asdict(), "pixels": pixel_digest(decode(open_image(data)))}


def drawn(rng, evaluation):
    """Images of which most are copies of another, or of an evaluation image, in some respect."""
    pool = [described(data) for data in evaluation]
    images = []
    for number in range(40):
        image = {
            "row_id": rng.bytes(16).hex(), "sha256": rng.bytes(32).hex(),
            "pixels": rng.bytes(32).hex(), "perceptual": int.from_bytes(rng.bytes(8)),
            "mirrored": int.from_bytes(rng.bytes(8)), "contrast": float(rng.choice([2, 20, 30])),
            "width": int(rng.choice([8, 9])), "height": 8, "size": int(rng.choice([50, 60])),
        }  # fmt: skip
        other = pool[rng.integers(len(pool))]
        flip = 1 << int(rng.integers(64))
        image |= {
            0: {"sha256": other["sha256"]},
            1: {"pixels": other["pixels"]},
            2: {"perceptual": other["perceptual"] ^ flip},
            3: {"mirrored": other["perceptual"] ^ flip},
        }.get(number % 6, {})
        images.append(image)
        pool.append(image)
    return [images[place] for place in rng.permutation(len(images))]


def write_tables(root, images):
    """Write what the stages before leave; return the images in the order of rows."""
    ordered = []
    for group, rows in {"group-000": images[:15], "group-001": images[15:]}.items():
        for shard, some in enumerate((rows[:9], rows[9:])):
            ordered += sorted(some, key=lambda row: row["row_id"])
            for folder, schema in (
                (f"download_images/{group}/raw", RAW_IMAGE),
                (f"filter_images/{group}/verdicts", IMAGE_VERDICT),
                (f"deduplicate/{group}/signatures", SIGNATURE),
            ):
                write_rows(root / folder / f"shard-{shard:06d}.parquet", schema, some)
    return ordered


@pytest.mark.parametrize("memory", ["1", "4000"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_verdicts_are_those_of_comparing_all_with_all(
    tmp_path, parameters, jpeg, monkeypatch, seed, mirrored, memory
):
    """Whatever memory there is for hashes: one megabyte takes as many passes as there are rows."""
    monkeypatch.setattr(deduplicate, "_SHARE_FOR_HASHES", 1e-4)
    monkeypatch.setattr(deduplicate, "memory_megabytes", lambda: int(memory))
    (tmp_path / "set").mkdir()
    evaluation = [jpeg(number) for number in range(3)]
    for number, data in enumerate(evaluation):
        (tmp_path / "set" / f"{number}.jpg").write_bytes(data)
    images = write_tables(tmp_path, drawn(np.random.default_rng(seed), evaluation))
    limits = {
        "near_duplicate_radius": 2, "evaluation_radius": 2, "min_contrast": 5.0,
        "mirrored": mirrored, "evaluation_mirrored": False, "evaluation_crops": [],
    }  # fmt: skip
    deduplicate.gather(
        deduplicate.Deduplicate(**{**parameters["deduplicate"], **limits}),
        seed=0,
        parts={name: tmp_path / "deduplicate" / name for name in ("group-000", "group-001")},
        inputs={name: tmp_path / name for name in ("download_images", "filter_images", "scenes")},
        output=tmp_path / "out",
        work=tmp_path / "work",
        evaluation_sets=declared(tmp_path / "set"),
    )
    found = [
        row
        for file in sorted((tmp_path / "out" / "verdicts").iterdir())
        for row in pq.read_table(file).to_pylist()
    ]
    expected = judged(
        [{**image, "area": image["width"] * image["height"]} for image in images],
        [
            {"name": f"mine: {number}.jpg", **described(data)}
            for number, data in enumerate(evaluation)
        ],
        radius=2,
        evaluation_radius=2,
        min_contrast=5.0,
        mirrored=mirrored,
    )
    assert [row["row_id"] for row in found] == [image["row_id"] for image in images]
    assert [(row["filter"], row["reason"], row["detail"]) for row in found] == expected
    assert len({reason for _, reason, _ in expected}) == 5  # kept, and every reason
