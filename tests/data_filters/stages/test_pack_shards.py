"""The whole chain: every row has the fate that was planned for it, and bytes repeat."""

import hashlib
import json
import shutil
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_filters.config import DownloadImages
from data_filters.download.origin import open_origin
from data_filters.ledger import LedgerError
from data_filters.rebuild.run import rebuild


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_row_of_the_source_has_the_fate_that_was_planned(chain, world):
    ledger = chain.table("pack_shards", "ledger.parquet")
    repeated = "http://{origin}/images/good-00.jpg"
    found = {
        row["url"]: (row["stage"], row["filter"], row["reason"])
        for row in ledger
        if row["url"] != repeated
    }
    assert found == {url: fate for url, fate in world.fates.items() if url != repeated}
    twice = [(row["verdict"], row["reason"]) for row in ledger if row["url"] == repeated]
    assert sorted(twice) == [("dropped", "url_seen_before"), ("kept", None)]
    assert {row["verdict"] for row in ledger if row["shard"] is not None} == {"kept"}


def test_details_say_which_image_was_meant(chain):
    ledger = {
        row["url"].rpartition("/")[2]: row for row in chain.table("pack_shards", "ledger.parquet")
    }
    assert ledger["leak.jpg"]["detail"] == "held: val/60.jpg"
    assert ledger["leak-again.jpg"]["detail"] == "held: val/61.jpg"
    for way in ("mirrored", "cropped", "cropped-mirrored"):
        assert ledger[f"leak-{way}.jpg"]["detail"] == "held: val/60.jpg"
    assert ledger["good-01.jpg"]["detail"] == ledger["same-pixels.png"]["row_id"]
    assert ledger["smaller.jpg"]["detail"] == ledger["good-02.jpg"]["row_id"]


def test_the_funnel_accounts_for_every_row(chain):
    funnel = json.loads((chain.folders["pack_shards"] / "funnel.json").read_text())
    ledger = chain.table("pack_shards", "ledger.parquet")
    assert funnel[0]["in"] == len(ledger)
    for before, after in pairwise(funnel):
        assert before["kept"] == after["in"]
    assert funnel[-1]["kept"] == sum(row["verdict"] == "kept" for row in ledger)
    dropped = Counter(
        (row["filter"], row["reason"]) for row in ledger if row["verdict"] == "dropped"
    )
    counted = {(a["filter"], reason): n for a in funnel for reason, n in a["reasons"].items()}
    assert counted == dict(dropped)


def test_the_index_leads_to_the_original_bytes(chain, world):
    folder = chain.folders["pack_shards"]
    index = chain.table("pack_shards", "index.parquet")
    manifest = chain.table("pack_shards", "manifest.parquet")
    assert [row["key"] for row in index] == [row["key"] for row in manifest]
    assert index == sorted(index, key=lambda row: (row["shard"], row["offset"]))
    assert [row["sha256"] for row in index] == sorted(row["sha256"] for row in index)
    for row, origin in zip(index, manifest, strict=True):
        name = origin["url"].rpartition("/")[2]
        data = (world.folder / "origin" / "images" / name).read_bytes()
        with (folder / f"shard-{row['shard']:06d}.tar").open("rb") as tar:
            tar.seek(row["offset"])
            assert tar.read(row["size"]) == data
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["key"] == row["sha256"][:32]


def test_shards_are_plain_webdataset(chain):
    sizes = []
    for path in sorted(chain.folders["pack_shards"].glob("*.tar")):
        with tarfile.open(path) as archive:
            names = archive.getnames()
            records = [
                json.loads(archive.extractfile(name).read())
                for name in names
                if name.endswith("json")
            ]
        assert names == sorted(names)
        assert [record["key"] for record in records] == sorted(
            {name.partition(".")[0] for name in names}
        )
        sizes.append(len(records))
    assert sizes == [6] * (len(sizes) - 1) + [sizes[-1]]
    assert sum(sizes) == chain.summaries["pack_shards"]["samples"]


def test_nothing_published_knows_where_or_when(chain, world):
    for folder in list(chain.folders.values())[1:]:
        for path in folder.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert str(world.folder).encode() not in data, path
                assert b"127.0.0.1:" not in data.replace(b"127.0.0.1:1/", b""), path


@pytest.mark.slow
def test_a_rebuild_gives_the_same_bytes_in_every_folder(chain, world, stages, tmp_path):
    rebuilt = stages(world, tmp_path)
    for name, folder in chain.folders.items():
        assert digests(rebuilt.folders[name]) == digests(folder), name


def test_the_number_of_groups_changes_neither_shards_nor_ledger(chain, world, stages, tmp_path):
    """Nor does the name of the folder, were it the end of a text in SQL or that of a table."""
    place = tmp_path / 'it\'s "a".parquet'
    inputs = {"fetch_metadata": chain.folders["fetch_metadata"]}
    names = list(chain.folders)[2:]
    alone = stages(world, place, names=names, inputs=inputs, fetch_metadata={"groups": 1})
    assert digests(alone.folders["pack_shards"]) == digests(chain.folders["pack_shards"])


@pytest.mark.slow
def test_the_order_of_the_source_and_the_cut_of_its_shards_change_nothing(
    chain, world, stages, tmp_path
):
    table = pq.read_table(world.folder / "origin" / "metadata.parquet")
    order = np.random.default_rng(0).permutation(table.num_rows)
    for number, half in enumerate(np.array_split(order, 2)):
        (tmp_path / "source").mkdir(exist_ok=True)
        pq.write_table(table.take(half), tmp_path / "source" / f"part-{number}.parquet")
    source = {"kind": "url_table", "root": str(tmp_path / "source"), "files": "*.parquet"}
    fetched = stages(world, tmp_path, names=["fetch_metadata"], fetch_metadata={"source": source})
    shuffled = stages(
        world,
        tmp_path,
        names=list(chain.folders)[2:],
        inputs={"fetch_metadata": fetched.folders["fetch_metadata"]},
        download_images={"rows_per_shard": 7},
    )
    ours, theirs = (digests(run.folders["pack_shards"]) for run in (shuffled, chain))
    positions = {"ledger.parquet"}  # it names rows by their position in the source
    assert {k: v for k, v in ours.items() if k not in positions} == {
        k: v for k, v in theirs.items() if k not in positions
    }


def test_a_row_that_a_stage_lost_is_noticed(chain, world, stages, tmp_path):
    broken = tmp_path / "filter_images"
    shutil.copytree(chain.folders["filter_images"], broken)
    for file in broken.glob("*/verdicts/*.parquet"):
        pq.write_table(pq.read_table(file).slice(1), file)
    inputs = {**chain.folders, "filter_images": broken}
    with pytest.raises(LedgerError, match="ledger and funnel differ"):
        stages(world, tmp_path, names=["pack_shards"], inputs=inputs)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"kind": "embedded"}, "the embedded world, which the stage scenes renders. Terms: those"),
        (
            {"kind": "catalogue", "name": "voc2012", "root": "data/VOC2012"},
            "`voc2012`, PASCAL VOC 2012",
        ),
        ({"kind": "catalogue", "name": "voc2012", "root": "x"}, "Terms: Flickr terms; research"),
        (
            {"kind": "folder", "root": "s3://bucket/photos", "class_subfolders": False},
            "folder at `s3://bucket/photos`. Its terms are not in the catalogue.",
        ),
    ],
)
def test_the_card_names_the_source_and_its_terms(chain, world, stages, tmp_path, source, words):
    packed = stages(
        world,
        tmp_path,
        names=["pack_shards"],
        inputs=chain.folders,
        fetch_metadata={"source": source},
    )
    (line,) = [
        line
        for line in (packed.folders["pack_shards"] / "card.md").read_text().splitlines()
        if line.startswith("Source: ")
    ]
    assert words in line


def test_too_few_images_stop_the_pipeline(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"images are left, fewer than min_samples 1000"):
        stages(
            world,
            tmp_path,
            names=["pack_shards"],
            inputs=chain.folders,
            pack_shards={"min_samples": 1000},
        )


def test_the_manifest_rebuilds_the_shards_to_the_byte(chain, world, parameters, tmp_path):
    published = chain.folders["pack_shards"]
    limits = DownloadImages.model_validate(parameters["download_images"])
    summary = rebuild(
        published / "manifest.parquet",
        limits,
        output=tmp_path / 'it\'s "again"',
        embedded_world=lambda: open_origin(world.folder),
    )
    assert summary.same == summary.rows == chain.summaries["pack_shards"]["samples"]
    for file in [*published.glob("shard-*.tar"), published / "index.parquet"]:
        assert (tmp_path / 'it\'s "again"' / file.name).read_bytes() == file.read_bytes(), file.name
    tars = list((tmp_path / 'it\'s "again"').glob("shard-*.tar"))
    assert len(tars) == chain.summaries["pack_shards"]["shards"]
