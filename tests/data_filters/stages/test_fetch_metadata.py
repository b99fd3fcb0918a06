"""Every kind of source becomes the same columns."""

from collections import Counter

import pyarrow.parquet as pq
import pytest

from data_filters.config import Thresholds
from data_filters.io.tar import write_tar
from data_filters.metadata.presets import PRESETS
from data_filters.records import content_id


def test_the_embedded_table(chain, world):
    rows = chain.table("fetch_metadata", "parts/part-00000.parquet")
    assert [row["row"] for row in rows] == list(range(len(rows)))
    assert {row["url"] for row in rows} == set(world.fates)
    statistics = chain.folders["fetch_metadata"] / "statistics.json"
    assert f'"punsafe": {len(rows)}' in statistics.read_text()
    assert chain.summaries["fetch_metadata"] == {"rows": len(rows), "parts": 1}


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_local_collections(world, stages, tmp_path, jpeg, kind):
    root = tmp_path / "source"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        (root / label / "1.jpg").write_bytes(jpeg(0))
        write_tar(root / f"{label}.tar", [("1.jpg", jpeg(0)), ("1.txt", label.encode())])
    source = {"kind": kind, "root": str(root)}
    source |= {"class_subfolders": True} if kind == "folder" else {"files": "*.tar"}
    run = stages(world, tmp_path, names=["fetch_metadata"], fetch_metadata={"source": source})
    parts = sorted((run.folders["fetch_metadata"] / "parts").iterdir())
    rows = [row for part in parts for row in run.table("fetch_metadata", f"parts/{part.name}")]
    names = {"folder": "{}/1.jpg", "webdataset": "{}.tar#1"}
    assert [(row["path"], row["caption"], row["url"]) for row in rows] == [
        (names[kind].format(label), label, None) for label in ("cat", "dog")
    ]
    assert [row["row_id"] for row in rows] == [content_id(row["path"]) for row in rows]
    assert [row["part"] for row in rows] == ([0, 0] if kind == "folder" else [0, 1])


def test_a_missing_source_is_told_in_one_line(world, stages, tmp_path):
    source = {"kind": "url_table", "root": str(tmp_path / "url_table"), "files": "*.parquet"}
    with pytest.raises(
        FileNotFoundError, match=r"fetch_metadata\.source\.root: no folder"
    ) as caught:
        stages(world, tmp_path, names=["fetch_metadata"], fetch_metadata={"source": source})
    assert "\n" not in str(caught.value)


def test_a_copy_that_is_not_whole_is_refused_unless_declared_so(world, stages, tmp_path, jpeg):
    images = tmp_path / "voc" / "JPEGImages"
    images.mkdir(parents=True)
    (images / "1.jpg").write_bytes(jpeg(0))
    source = {"kind": "catalogue", "name": "voc2012", "root": str(tmp_path / "voc")}
    with pytest.raises(ValueError, match=r"voc2012 has 1 rows here and 17,125 in the catalogue"):
        stages(world, tmp_path, names=["fetch_metadata"], fetch_metadata={"source": source})
    source["partial"] = True
    run = stages(world, tmp_path, names=["fetch_metadata"], fetch_metadata={"source": source})
    assert run.summaries["fetch_metadata"] == {"rows": 1, "parts": 1}


@pytest.mark.shared
def test_ten_thousand_real_rows(world, stages, tmp_path, shared_data):
    root = str(shared_data / "laion_sample")
    source = {"kind": "url_table", "root": root, "files": "*.parquet"}
    settings = {"thresholds": "franca_paper", "denied_domains": ["pinimg.com"]}
    run = stages(
        world,
        tmp_path,
        names=["fetch_metadata", "filter_metadata"],
        fetch_metadata={"source": source},
        filter_metadata=settings,
    )
    assert run.summaries["fetch_metadata"] == {"rows": 10_000, "parts": 1}
    reasons = run.funnel("filter_metadata")
    assert reasons["address"] == {"domain_denied": 196, "scheme_not_allowed": 1}
    assert reasons["repeated_url"] == {"url_seen_before": 1}
    assert run.summaries["filter_metadata"]["kept"] == 10_000 - 198
    domains = run.tables("filter_metadata", "group-*/domains.parquet")
    assert sum(row["rows"] for row in domains) == 10_000
    assert sum(row["rows"] for row in domains if row["domain"].endswith("pinimg.com")) == 196


@pytest.mark.shared
def test_captions_of_real_rows_are_judged_as_python_would(world, stages, tmp_path, shared_data):
    root = shared_data / "laion_sample"
    texts = pq.read_table(root / "metadata.parquet", columns=["TEXT"])["TEXT"].to_pylist()
    thresholds = {
        **Thresholds.model_validate(PRESETS["franca_paper"]).model_dump(),
        "min_caption_characters": 5,
        "min_caption_words": 3,
        "missing": "drop",
    }
    run = stages(
        world,
        tmp_path,
        names=["fetch_metadata", "filter_metadata"],
        fetch_metadata={"source": {"kind": "url_table", "root": str(root), "files": "*.parquet"}},
        filter_metadata={"thresholds": thresholds, "drop_repeated_urls": False},
    )
    expected = Counter(
        "caption_missing"
        if text is None
        else "caption_too_short"
        if len(text.strip()) < 5
        else "caption_too_few_words"
        for text in texts
        if text is None or len(text.strip()) < 5 or len(text.split()) < 3
    )
    reasons = run.funnel("filter_metadata")["caption"]
    assert sum(expected.values()) > 100
    assert reasons == pytest.approx(expected, abs=1)  # the row whose scheme goes first
