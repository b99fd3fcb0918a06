"""Bad input at the command line: one line that names file or key and the remedy, nothing lost."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from data_filters.io.tar import write_tar

pytestmark = pytest.mark.slow

PARAMS = Path(__file__).parents[2] / "params.yaml"
DATA_STAGES = (
    "fetch_metadata", "filter_metadata", "download_images", "filter_images", "deduplicate",
    "pack_shards",
)  # fmt: skip
NUM_IMAGES = 90


def make_jpeg(index):
    coarse = np.random.default_rng(index).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((40, 40), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


def write_params(folder):
    """The scale `micro` on tars in `images/`, without an embedded world."""
    tree = yaml.safe_load(PARAMS.read_text())
    micro = tree["scales"]["micro"]
    micro["scenes"] = {"num_train": 0}
    micro["evaluation_sets"] = {}
    micro["fetch_metadata"] = {"source": {"kind": "webdataset", "root": "images", "files": "*.tar"}}
    micro["filter_metadata"] = {"thresholds": "franca_paper"}  # a tar states no sizes or scores
    micro["evaluate"]["tasks"] = []
    tree["scale"] = "micro"
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))


def franca(folder, *arguments):
    return subprocess.run(
        ["franca", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def complaint(folder, *arguments):
    """Run a command that must fail, and return what it says: one line, and where the rest is."""
    done = franca(folder, *arguments)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("franca: ")]
    assert said[1:] in ([], ["franca: the traceback is in logs/traceback.txt"])
    assert "Traceback" not in done.stderr
    return said[0]


def run_stages(folder, stages=DATA_STAGES):
    for stage in stages:
        done = franca(folder, stage)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose tars hold good images, bytes that are none, and a cut; packed."""
    folder = tmp_path_factory.mktemp("project")
    write_params(folder)
    (folder / "images").mkdir()
    good = [(f"{index:03d}.jpg", make_jpeg(index)) for index in range(NUM_IMAGES)]
    write_tar(folder / "images/good.tar", good[:80])
    write_tar(folder / "images/mixed.tar", [*good[80:], ("bad.jpg", b"no image at all")])
    torn = folder / "images/torn.tar"
    _, cut = write_tar(torn, [("x.jpg", make_jpeg(100)), ("y.jpg", make_jpeg(101))])
    torn.write_bytes(torn.read_bytes()[: cut.offset + cut.size // 2])
    run_stages(folder, ("scenes", *DATA_STAGES))
    return folder


@pytest.fixture
def copy(project, tmp_path):
    """The project to damage."""
    shutil.copytree(project, tmp_path / "copy")
    return tmp_path / "copy"


def test_every_row_of_a_damaged_source_is_on_the_books(project):
    ledger = pq.read_table(project / "artifacts/micro/pack_shards/ledger.parquet").to_pylist()
    assert len(ledger) == NUM_IMAGES + 3  # bad.jpg, x.jpg and the cut y.jpg
    dropped = {row["reason"] for row in ledger if row["shard"] is None}
    assert dropped == {"not_an_image", "truncated_tar"}
    assert sum(row["shard"] is not None for row in ledger) == NUM_IMAGES + 1


def test_a_missing_root_is_named(copy):
    shutil.rmtree(copy / "images")
    said = complaint(copy, "fetch_metadata")
    assert "fetch_metadata.source.root" in said
    assert "images" in said


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>" * 50])
def test_a_tar_without_a_single_sample_is_named(copy, content):
    (copy / "images/good.tar").write_bytes(content)
    said = complaint(copy, "fetch_metadata")
    assert "images/good.tar" in said
    assert "fetch this file again" in said


def test_a_source_full_of_other_things_stops_the_run_and_says_how_many(copy):
    junk = [(f"{index:03d}.jpg", b"not an image") for index in range(80)]
    write_tar(copy / "images/good.tar", junk)
    run_stages(copy, DATA_STAGES[:2])
    said = complaint(copy, "download_images")
    assert "min_success_rate" in said
    assert "not_an_image 81" in said


@pytest.mark.parametrize("cut", [0, 5000])
def test_a_packed_shard_that_lost_bytes_is_named_and_left_alone(copy, cut):
    shard = copy / "artifacts/micro/pack_shards/shard-000000.tar"
    data = shard.read_bytes()[:cut]
    shard.write_bytes(data)
    said = complaint(copy, "pretrain")
    assert "artifacts/micro/pack_shards/shard-000000.tar" in said
    assert f"{cut} bytes" in said
    assert "franca pull" in said
    assert shard.read_bytes() == data


def test_a_shard_with_other_bytes_of_the_same_size_is_named_too(copy):
    shard = copy / "artifacts/micro/pack_shards/shard-000000.tar"
    data = bytearray(shard.read_bytes())
    data[600:700] = b"X" * 100
    shard.write_bytes(data)
    said = complaint(copy, "pretrain")
    assert "shard-000000.tar" in said
    assert "sha256" in said


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("pretrain.stepz=1", "did you mean 'steps'?"),
        ("pretrain.steps=many", "input should be a valid integer"),
        ("pretrain.augment.global_crops.size=30", "try 24"),
        ("rasa.presets.paper.rounds=0", "greater than or equal to 1"),
    ],
)
def test_an_impossible_parameter_is_named_before_anything_runs(project, setting, words):
    said = complaint(project, "pretrain", "--set", setting)
    section, _, key = setting.partition("=")[0].partition(".")
    assert section in said
    assert key in said
    assert words in said
