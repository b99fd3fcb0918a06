"""Verdicts and kept rows of the metadata stage."""

import json

import duckdb
import pytest

from data_filters.metadata.presets import PRESETS
from data_filters.metadata.sample import SampleFilter


def test_every_row_has_a_verdict_and_kept_rows_have_all_columns(chain):
    rows = chain.table("fetch_metadata", "parts/part-00000.parquet")
    verdicts = chain.tables("filter_metadata", "*/verdicts/*.parquet")
    kept = chain.tables("filter_metadata", "*/kept/*.parquet")
    assert [(v["part"], v["row"]) for v in verdicts] == [(r["part"], r["row"]) for r in rows]
    survivors = {verdict["row"] for verdict in verdicts if verdict["kept"]}
    assert kept == [row for row in rows if row["row"] in survivors]
    for verdict in verdicts:
        assert verdict["kept"] == (verdict["filter"] is None) == (verdict["reason"] is None)
        assert verdict["kept"] == (verdict["broken"] == 0)


def test_a_group_is_half_of_the_rows(chain):
    rows = chain.tables("fetch_metadata", "parts/*.parquet")
    first = chain.tables("filter_metadata", "group-000/verdicts/*.parquet")
    assert [verdict["row"] for verdict in first] == list(range(len(rows) // 2))


def test_statistics_name_domains(chain):
    path = chain.folders["filter_metadata"] / "statistics.json"
    statistics = json.loads(path.read_text())
    assert statistics["domains"]["www.denied.org"] == 1
    assert statistics["num_domains"] == len(statistics["domains"])


def test_the_ablation_says_what_each_filter_alone_would_drop(chain):
    path = chain.folders["filter_metadata"] / "ablation.json"
    effects = json.loads(path.read_text())
    alone = {rule["reason"]: rule["rows"] for rule in effects["rules"]}
    assert (alone["probably_unsafe"], alone["domain_denied"]) == (1, 1)
    # the table lets an image of 1441 x 480 and one of 255 x 480 pass the aspect filter once
    assert alone["too_elongated"] == 1
    accounts = chain.funnel("filter_metadata")
    for effect in effects["filters"]:
        assert effect["in_sequence"] == sum(accounts[effect["filter"]].values())


def test_repeated_urls_are_found_across_groups(chain):
    rows = {row["row"]: row for row in chain.tables("fetch_metadata", "parts/*.parquet")}
    (repeated,) = chain.table("filter_metadata", "repeated.parquet")
    url = "http://{origin}/images/good-00.jpg"
    first, second = (number for number, row in rows.items() if row["url"] == url)
    assert first < len(rows) // 2 <= second  # in different groups
    assert repeated == {"part": 0, "row": second}


def test_sampling_keeps_what_the_hash_says(chain, world, stages, tmp_path):
    inputs = {"fetch_metadata": chain.folders["fetch_metadata"]}
    sampled = stages(
        world,
        tmp_path,
        names=["filter_metadata"],
        inputs=inputs,
        filter_metadata={"sample_fraction": 0.5},
    )
    everything = chain.tables("filter_metadata", "*/kept/*.parquet")
    draw = SampleFilter(fraction=0.5, seed=0)
    kept = sampled.tables("filter_metadata", "*/kept/*.parquet")
    assert kept == [row for row in everything if draw.keeps(row["row_id"])]
    assert 0 < len(kept) < len(everything)


def test_when_nothing_passes_the_worst_filter_is_named(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"none of \d+ rows passes; most are dropped by size"):
        stages(
            world,
            tmp_path,
            names=["filter_metadata"],
            inputs={"fetch_metadata": chain.folders["fetch_metadata"]},
            filter_metadata={
                "thresholds": PRESETS["franca_paper"].model_copy(update={"min_area": 10**9})
            },
        )


def test_lists_and_languages_judge_in_the_same_pass_of_one_database(
    chain, world, stages, tmp_path, pinned, monkeypatch
):
    opened, open_one = [], duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda **how: opened.append(how) or open_one(**how))
    (tmp_path / "optouts.txt").write_text("http://{origin}/images/good-03.jpg\n")
    lists = [{**pinned(tmp_path / "optouts.txt"), "matches": "url"}]
    thresholds = PRESETS["relaion_600m"].model_copy(update={"allowed_languages": ("en",)})
    run = stages(
        world,
        tmp_path,
        names=["filter_metadata"],
        inputs={"fetch_metadata": chain.folders["fetch_metadata"]},
        filter_metadata={
            "deny_lists": lists, "thresholds": thresholds, "denied_url_patterns": ["never-.*-seen"],
        },
    )  # fmt: skip
    groups = list(run.folders["filter_metadata"].glob("group-*"))
    assert len(opened) == len(groups) + 1  # and gathering
    funnel = run.funnel("filter_metadata")
    assert funnel["deny_lists"] == {"url_listed": 1}
    assert set(funnel["language"]) <= {"language_not_allowed"}
    assert run.summaries["filter_metadata"]["kept"] > 0
