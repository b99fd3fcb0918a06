import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from franca.config.scenes import Scenes
from franca.data.scenes.metadata import md5
from franca.stages import scenes
from franca.stages.scenes import run

NOTHING = Scenes(
    image_size=32,
    video_size=40,
    supersample=1,
    jpeg_quality=92,
    num_train=0,
    single_share=0.6,
    wide_share=0.3,
    fault_share=0.05,
    num_objects_train=0,
    num_objects_val=0,
    num_novel=0,
    num_segmentation_train=0,
    num_segmentation_val=0,
    num_videos=0,
    num_frames=2,
    num_pairs=0,
    num_scenes=0,
    num_views=3,
)
SMALL = NOTHING.model_copy(
    update={
        "num_train": 20,
        "num_objects_train": 9,
        "num_objects_val": 5,
        "num_novel": 3,
        "num_segmentation_train": 2,
        "num_segmentation_val": 1,
        "num_videos": 1,
        "num_pairs": 1,
        "num_scenes": 1,
    }
)


def _run(cfg, output, seed=0):
    output.mkdir()
    return run(cfg, seed=seed, inputs={}, output=output, work=output / "unused")


def _contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    output = tmp_path_factory.mktemp("scenes") / "world"
    summary = _run(SMALL, output)
    return output, summary


def test_empty_world_has_an_empty_table_and_nothing_else(tmp_path):
    _run(NOTHING, tmp_path / "world")
    assert set(_contents(tmp_path / "world")) == {
        "origin/metadata.parquet",
        "origin/faults.json",
        "origin/planted.json",
    }
    assert pq.read_table(tmp_path / "world" / "origin" / "metadata.parquet").num_rows == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_bytes_repeat_on_any_number_of_processes(world, tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "num_workers", lambda: 3)
    _run(SMALL, tmp_path / "again")
    assert _contents(tmp_path / "again") == _contents(world[0])


def test_another_seed_makes_another_world(world, tmp_path):
    cfg = NOTHING.model_copy(update={"num_train": 2, "fault_share": 0.0})
    _run(cfg, tmp_path / "other", seed=1)
    ours, theirs = _contents(world[0]), _contents(tmp_path / "other")
    shared = [name for name in theirs if name.startswith("origin/images/") and name in ours]
    assert shared
    assert all(ours[name] != theirs[name] for name in shared)


def test_more_images_leave_the_first_ones_alone(world, tmp_path):
    cfg = NOTHING.model_copy(update={"num_train": 3, "fault_share": 0.0})
    _run(cfg, tmp_path / "fewer")
    ours = _contents(world[0])
    fewer = _contents(tmp_path / "fewer")
    images = [name for name in fewer if name.startswith("origin/images/")]
    assert len(images) == 3
    assert all(fewer[name] == ours[name] for name in images)


def test_table_lists_every_served_file_with_its_size(world):
    origin = world[0] / "origin"
    rows = {
        row["url"].removeprefix("http://{origin}/images/"): row
        for row in pq.read_table(origin / "metadata.parquet").to_pylist()
    }
    files = {path.name: path.read_bytes() for path in (origin / "images").iterdir()}
    assert set(files) <= set(rows)
    assert len(rows) == world[1]["origin_rows"]
    photos = [name for name in files if name.startswith("photo-")]
    assert len(photos) == SMALL.num_train
    for name in photos:
        with Image.open(io.BytesIO(files[name])) as image:
            assert image.size == (rows[name]["width"], rows[name]["height"])
            assert min(image.size) == SMALL.image_size
        assert rows[name]["md5"] == md5(files[name])


def test_faults_and_planted_agree(world):
    faults = json.loads((world[0] / "origin" / "faults.json").read_text())
    planted = json.loads((world[0] / "origin" / "planted.json").read_text())["kinds"]
    for path, kind in faults.items():
        assert "http://{origin}" + path in [entry["url"] for entry in planted[kind]]
    assert world[1]["planted"] == {kind: len(entries) for kind, entries in planted.items()}


def test_leaks_copy_evaluation_images(world):
    planted = json.loads((world[0] / "origin" / "planted.json").read_text())["kinds"]
    [leak] = planted["leak_exact"]
    place, _, index = leak["of"].rpartition(":")
    assert place == "objects/val"
    val = pq.read_table(world[0] / "objects" / "val-00000-of-00001.parquet").to_pylist()
    served = world[0] / "origin" / "images" / leak["url"].rsplit("/", 1)[-1]
    assert served.read_bytes() == val[int(index)]["image"]["bytes"]


def test_splits_are_balanced_and_share_no_image(world):
    train, val, near, far = (
        pq.read_table(world[0] / f"{name}-00000-of-00001.parquet").to_pylist()
        for name in ("objects/train", "objects/val", "novel/near", "novel/far")
    )
    assert [row["label"] for row in train] == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    assert [row["label"] for row in near] == [0, 1, 0]
    assert [row["label"] for row in far] == [0, 0, 0]
    images = [row["image"]["bytes"] for row in (*train, *val, *near, *far)]
    assert len(set(images)) == len(images)


def test_segmentation_truths_agree(world):
    root = world[0] / "segmentation"
    [name] = (root / "ImageSets" / "Segmentation" / "val.txt").read_text().split()
    semantic = _pixels(root / "SegmentationClass" / f"{name}.png")
    instance = _pixels(root / "SegmentationObject" / f"{name}.png")
    depth = np.load(root / "Depth" / f"{name}.npy", allow_pickle=False)
    normals = np.load(root / "Normals" / f"{name}.npy", allow_pickle=False)
    np.testing.assert_array_equal(semantic == 255, instance == 255)
    np.testing.assert_array_equal(semantic == 0, instance == 0)
    assert depth.dtype == normals.dtype == np.float16
    assert depth[semantic == 0].mean() > depth[(semantic > 0) & (semantic < 255)].mean()
    np.testing.assert_allclose(np.linalg.norm(normals.astype(float), axis=-1), 1, atol=0.01)
    names = (root / "classes.txt").read_text().split()
    assert names[0] == "background"
    assert len(names) == 9


def test_video_masks_match_their_frames(world):
    root = world[0] / "videos"
    [name] = (root / "ImageSets" / "2017" / "val.txt").read_text().split()
    frames = sorted((root / "JPEGImages" / "480p" / name).iterdir())
    assert [frame.name for frame in frames] == ["00000.jpg", "00001.jpg"]
    for frame in frames:
        mask = _pixels(root / "Annotations" / "480p" / name / f"{frame.stem}.png")
        assert mask.shape == _pixels(frame).shape[:2] == (40, 40)
        assert 1 <= mask.max() <= 3


def test_pair_boxes_hold_the_points_of_their_object(world):
    rows = json.loads((world[0] / "pairs" / "pairs.json").read_text())
    assert [row["kind"] for row in rows] == ["semantic", "geometric"]
    with np.load(world[0] / "pairs" / rows[0]["points"], allow_pickle=False) as points:
        low, high = points["target_box"][:2] - 1, points["target_box"][2:] + 1
        inside = (points["target"] >= low) & (points["target"] <= high)
        assert inside.all()


def test_sketches_are_lines_of_the_validation_images_without_the_first_class(world):
    folder = world[0]
    sketches, val = (
        pq.read_table(folder / name / "val-00000-of-00001.parquet").to_pylist()
        for name in ("sketches", "objects")
    )
    kept = [row for row in val if row["label"]]
    assert [row["label"] for row in sketches] == [row["label"] - 1 for row in kept]
    for drawn, row in zip(sketches, kept, strict=True):
        lines, colours = (
            np.asarray(Image.open(io.BytesIO(each["image"]["bytes"])), dtype=float)
            for each in (drawn, row)
        )
        assert lines.shape == colours.shape
        assert np.ptp(lines, axis=-1).max() < 12  # no colour, but for JPEG
        down, right = np.gradient(colours.mean(-1))
        edges = np.hypot(down, right)
        dark, light = (lines.mean(-1)[edges > cut].mean() for cut in (np.quantile(edges, 0.9), -1))
        assert dark < light - 50


def test_views_are_of_one_scene_in_one_light(world):
    folder = world[0] / "views" / "scene-000"
    cameras = json.loads((folder / "cameras.json").read_text())
    assert sorted(cameras) == ["000", "001", "002"]
    positions = []
    for name, camera in cameras.items():
        depth = np.load(folder / "depth" / f"{name}.npy")
        assert depth.shape == _pixels(folder / "images" / f"{name}.png").shape[:2]
        assert (depth > 0).all()
        rotation = np.array(camera["rotation"])
        positions.append(-rotation.T @ camera["translation"])
    heights = [position[1] for position in positions]
    assert heights == pytest.approx([heights[0]] * 3)  # around the vertical axis
    spans = [np.arctan2(position[0], position[2]) for position in positions]
    turns = np.degrees(np.diff(np.unwrap(spans)))
    assert np.abs(turns) == pytest.approx([60.0, 60.0])
