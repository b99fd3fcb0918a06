"""Whole data sets for fine-tuning: what stays, what goes and why, and how it lies."""

import shutil
import tarfile
from collections import Counter

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from data_filters.config import Deduplicate, PackHighres
from data_filters.dedup.describe import build_describer
from data_filters.dedup.signatures import looks_cropped
from data_filters.io.files import read_json, write_array
from data_filters.io.parquet import write_rows
from data_filters.io.pixels import decode, open_image, pixel_digest
from data_filters.io.tar import write_tar
from data_filters.ledger import read_accounts
from data_filters.records import EVALUATION_SIGNATURE, HIGHRES_INDEX
from data_filters.stages import pack_highres
from franca.data.datasets import highres_images
from tests.data_filters.stages.conftest import PARAMETERS, again


@pytest.fixture
def place(tmp_path, jpeg):
    """A folder with a copy and an evaluation image, and tars with a shrunk evaluation image."""
    folder = tmp_path / "scenes" / "voc" / "JPEGImages"
    folder.mkdir(parents=True)
    for index in range(5):
        (folder / f"{index}.jpg").write_bytes(jpeg(index))
    (folder / "4-copy.jpg").write_bytes(jpeg(4))
    (folder / "held.jpg").write_bytes(jpeg(60))
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "a.tar", [("1.jpg", jpeg(11)), ("1.txt", b"a thing")])
    shrunk = again(jpeg(61, width=96, height=72), scale=0.9)
    write_tar(tmp_path / "tars" / "b.tar", [("1.jpg", jpeg(12)), ("2.jpg", shrunk)])
    index_evaluation_images(tmp_path, jpeg, semantic=None)
    return tmp_path


def index_evaluation_images(place, jpeg, *, semantic):
    describer = build_describer(semantic, key="deduplicate.semantic")
    images = {"images": jpeg(60), "videos": jpeg(61, width=96, height=72)}
    rows = []
    for name, data in images.items():
        pixels = decode(open_image(data))
        row = {"set": name, "place": "val/1.jpg", "pixels": pixel_digest(pixels)}
        row |= describer.add_decoded(data, pixels)._asdict()
        rows.append({**row, "cropped": looks_cropped(pixels, (0.02,))})
    write_rows(place / "deduplicate/evaluation_index.parquet", EVALUATION_SIGNATURE, rows)
    if semantic is not None:
        write_array(place / "deduplicate/evaluation_index.npy", describer.embeddings())


def run(place, *, to="output", semantic=None, radius=6, **changes):
    section = {
        "sets": {
            "voc": {
                "kind": "folder",
                "root": "{scenes}/voc/JPEGImages",
                "class_subfolders": False,
            },
            "tars": {"kind": "webdataset", "root": str(place / "tars"), "files": "*.tar"},
        },
        "evaluation_images": "drop",
        "max_unreadable_rate": 0.0,
        "samples_per_shard": 4,
    }
    rules = {**PARAMETERS["deduplicate"], "semantic": semantic, "evaluation_radius": radius}
    output, work = place / to, place / "work"
    output.mkdir()
    work.mkdir(exist_ok=True)
    summary = pack_highres.run(
        PackHighres.model_validate({**section, **changes}),
        seed=0,
        inputs={"scenes": place / "scenes", "deduplicate": place / "deduplicate"},
        output=output,
        work=work,
        deduplicate=Deduplicate.model_validate(rules),
    )
    return output, summary


def dropped(output):
    """Why each image that is left out was left out."""
    rows = pq.read_table(output / "ledger.parquet").to_pylist()
    return {
        f"{row['set']}/{row['path']}": (row["filter"], row["reason"], row["detail"])
        for row in rows
        if not row["kept"]
    }


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_evaluation_images_are_dropped_by_name_and_copies_stay(place):
    output, summary = run(place)
    assert dropped(output) == {
        "voc/held.jpg": ("evaluation_sets", "same_bytes", "images: val/1.jpg"),
        "tars/b.tar#2": ("evaluation_sets", "near_duplicate", "videos: val/1.jpg"),
    }
    assert summary == {"sets": 2, "images": 8, "shards": 3}
    accounts = [(entry.filter, entry.entered, entry.kept) for entry in read_accounts(output)]
    assert accounts == [("download", 10, 10), ("decoding", 10, 10), ("evaluation_sets", 10, 8)]


def test_a_mix_to_the_image_keeps_them(place):
    output, summary = run(place, evaluation_images="keep")
    assert dropped(output) == {}
    assert summary["images"] == 10


def test_a_shard_holds_one_set_and_the_index_says_which(place, jpeg):
    output, _ = run(place)
    index = pq.read_table(output / "index.parquet")
    assert index.schema == HIGHRES_INDEX
    rows = index.to_pylist()
    assert Counter((row["shard"], row["set"]) for row in rows) == {
        (0, "voc"): 4, (1, "voc"): 2, (2, "tars"): 2,
    }  # fmt: skip
    assert len({row["key"] for row in rows}) == 8
    assert {row["key"]: row["shard"] for row in rows} == {
        row["key"]: row["shard"]
        for row in pq.read_table(output / "ledger.parquet").to_pylist()
        if row["kept"]
    }
    with tarfile.open(output / "shard-000002.tar") as tar:
        assert sorted(name.partition(".")[2] for name in tar.getnames()) == [
            "jpg", "jpg", "json", "json",
        ]  # fmt: skip
    images = highres_images(output, place / "nothing", image_set="tars")
    assert {images.read(number).data for number in range(2)} == {jpeg(11), jpeg(12)}


def test_embeddings_find_evaluation_images_too(place, jpeg, thumbnail_onnx):
    semantic = {
        "network": thumbnail_onnx,
        "device": "cpu",
        "batch_size": 3,
        "min_cosine": 0.98,
        "evaluation_min_cosine": 0.98,
        "selection": {"kind": "semdedup", "clusters": 2},
    }
    rules = Deduplicate.model_validate({**PARAMETERS["deduplicate"], "semantic": semantic})
    index_evaluation_images(place, jpeg, semantic=rules.semantic)
    output, _ = run(place, semantic=semantic, radius=None)
    assert {name: why[1] for name, why in dropped(output).items()} == {
        "voc/held.jpg": "same_bytes", "tars/b.tar#2": "semantic_duplicate",
    }  # fmt: skip


@pytest.mark.parametrize("stop_at", ["copy_shards", "leak_finder", "write_shards"])
def test_a_killed_run_goes_on_to_the_same_bytes(place, monkeypatch, stop_at):
    whole, _ = run(place, to="whole")
    shutil.rmtree(place / "work")
    going_on = getattr(pack_highres, stop_at)

    def die(*arguments, **options):
        if stop_at == "copy_shards":
            going_on(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_highres, stop_at, die)
    with pytest.raises(KeyboardInterrupt):
        run(place, to="killed")
    monkeypatch.undo()
    copied = {path: path.stat().st_ino for path in (place / "work").rglob("raw/*.tar")}
    output, _ = run(place, to="again")
    assert copied
    assert {path: path.stat().st_ino for path in copied} == copied
    assert content(output) == content(whole)


def test_a_set_that_changed_since_a_killed_run_is_copied_anew(place, monkeypatch, jpeg):
    def die(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_highres, "write_shards", die)
    with pytest.raises(KeyboardInterrupt):
        run(place, to="killed")
    monkeypatch.undo()
    kept = {path: path.stat().st_ino for path in (place / "work/tars").rglob("raw/*.tar")}
    (place / "scenes/voc/JPEGImages/0.jpg").write_bytes(jpeg(80, width=200))
    (place / "scenes/voc/JPEGImages/9.jpg").write_bytes(jpeg(81))
    output, summary = run(place, to="again")
    assert summary["images"] == 9
    images = highres_images(output, place / "nothing", image_set="voc")
    packed = {images.read(number).data for number in range(len(images))}
    assert {jpeg(80, width=200), jpeg(81)} < packed
    assert jpeg(0) not in packed
    assert {path: path.stat().st_ino for path in kept} == kept  # the other set did not change


def test_what_was_read_of_each_set_is_on_the_books(place, jpeg):
    books = read_json(run(place, to="one")[0] / "sets.json")
    assert {name: (one["images"], one["kept"]) for name, one in books.items()} == {
        "voc": (7, 6),
        "tars": (3, 2),
    }
    (place / "scenes/voc/JPEGImages/0.jpg").write_bytes(jpeg(80, width=200))
    changed = read_json(run(place, to="other")[0] / "sets.json")
    assert changed["tars"] == books["tars"]
    assert changed["voc"]["digest_of_sizes"] != books["voc"]["digest_of_sizes"]


def test_unreadable_images_are_on_the_books_up_to_a_share(place, jpeg):
    data = jpeg(70)
    (place / "scenes/voc/JPEGImages/cut.jpg").write_bytes(data[: len(data) // 2])
    (place / "scenes/voc/JPEGImages/text.jpg").write_bytes(b"no image")
    with pytest.raises(
        ValueError, match=r"sets\.voc: 2 of 9 images cannot be read, .*(cut|text)\.jpg \("
    ):
        run(place, to="strict")
    output, _ = run(place, max_unreadable_rate=0.3)
    assert {name: why[:2] for name, why in dropped(output).items() if "held" not in name} == {
        "voc/cut.jpg": ("decoding", "truncated"),
        "voc/text.jpg": ("download", "not_an_image"),
        "tars/b.tar#2": ("evaluation_sets", "near_duplicate"),
    }


def test_a_set_of_the_catalogue_must_be_whole(place):
    source = {"kind": "catalogue", "name": "voc2012", "root": str(place / "scenes/voc")}
    with pytest.raises(
        ValueError, match=r"pack_highres\.sets\.voc: voc2012 has 7 rows here and 17,125 in the"
    ):
        run(place, to="part", sets={"voc": source})
    _, summary = run(place, sets={"voc": {**source, "partial": True}})
    assert summary["images"] == 6


def test_without_sets_the_index_is_empty(place):
    output, summary = run(place, sets={})
    assert summary == {"sets": 0, "images": 0, "shards": 0}
    assert pq.read_table(output / "index.parquet").num_rows == 0
    assert sorted(content(output)) == [
        "funnel.json", "index.parquet", "ledger.parquet", "sets.json",
    ]  # fmt: skip


def test_a_table_of_urls_is_no_set_of_images():
    source = {"kind": "catalogue", "name": "relaion_coco"}
    section = {"evaluation_images": "drop", "max_unreadable_rate": 0, "samples_per_shard": 1}
    with pytest.raises(ValidationError, match=r"pack_highres\.sets\.web: a table of URLs"):
        PackHighres.model_validate({**section, "sets": {"web": source}})
