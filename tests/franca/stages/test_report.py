"""The whole page: complete, self-contained, the same bytes twice, and honest about gaps."""

import json
import re

import pytest

from franca.config.report import Report
from franca.stages.report import run
from tests.franca.report.world import make_run

SECTIONS = [
    "results", "pipeline", "data", "views", "training", "convergence", "truncation", "features",
    "position", "provenance",
]  # fmt: skip
CONFIG = Report(
    max_gallery_images=6,
    max_dropped_images=2,
    max_dropped_rows=1,
    max_sample_images=3,
    thumbnail_side=64,
    dpi=50,
    main_metrics={"knn": "top1@k20"},
)


def write(inputs, folder):
    output = folder / "report"
    output.mkdir(parents=True)
    summary = run(CONFIG, seed=0, inputs=inputs, output=output, work=folder / "work")
    return output, summary


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def written(inputs, tmp_path_factory):
    return write(inputs, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def html(written):
    return (written[0] / "index.html").read_text(encoding="utf-8")


def test_every_chapter_is_there_in_order(html):
    assert re.findall(r'<section id="([^"]+)"', html) == SECTIONS


def test_nothing_is_missing_from_a_complete_run(html):
    missing = re.findall(r'<p class="missing">(.*?)</p>', html)
    assert len(missing) == 1  # the dropped images that are broken, which is why they were dropped
    assert "2 of the 2 chosen cannot be decoded" in missing[0]


def test_headline_numbers_are_those_of_the_results(html):
    table = html[html.index('id="results"') : html.index('id="pipeline"')]
    text = re.sub(r"<[^>]+>", " ", table)
    assert "better than the random initialisation on 5 , worse on 1 , and" in " ".join(text.split())
    assert re.search(r"logreg\s↑\s+top1 · objects\s+0\.240\s+\[0\.198, 0\.282\]\s+0\.400 ▲", text)


def test_every_figure_is_in_both_forms(written, html):
    output, summary = written
    stems = {path.stem for path in (output / "figures").iterdir()}
    assert summary["figures"] == len(stems) == 18
    markdown = (output / "report.md").read_text(encoding="utf-8")
    for stem in stems:
        assert f'<figure id="{stem}"' in html
        assert f"](figures/{stem}.png)" in markdown


def test_page_is_self_contained_and_small(written, html):
    assert written[1]["page_bytes"] == len(html.encode()) < 1_000_000
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)


def test_no_place_on_this_machine_is_named(written, html, inputs):
    root = str(inputs["evaluate"].parents[2])
    assert root not in html
    assert root not in (written[0] / "report.md").read_text(encoding="utf-8")


def test_bytes_repeat(written, inputs, tmp_path):
    again, summary = write(inputs, tmp_path)
    assert summary == written[1]
    first = {p.relative_to(written[0]): p.read_bytes() for p in written[0].rglob("*.*")}
    assert first == {p.relative_to(again): p.read_bytes() for p in again.rglob("*.*")}


def test_a_bare_run_says_what_is_missing(tmp_path):
    """Only results and shards: every other chapter says in words that it has nothing."""
    inputs = make_run(tmp_path / "run")
    for stage, folder in inputs.items():
        for path in sorted(folder.rglob("*.*")):
            keep = path.name == "results.json" or path.suffix == ".tar"
            if path.is_file() and not (keep or path.name in ("index.parquet", "manifest.parquet")):
                path.unlink()
        assert not (inputs[stage] / "receipt.json").exists()
    (inputs["evaluate"] / "results.json").write_text(json.dumps([]))
    output, _ = write(inputs, tmp_path)
    html = (output / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="([^"]+)"', html) == SECTIONS
    text = " ".join(re.findall(r'<p class="missing">(.*?)</p>', html))
    for words in (
        "No benchmark was run", "No stage left a receipt", "This scale has no funnel",
        "No dropped image is stored", "parameters of pretraining", "Pretraining: no",
        "High-resolution fine-tuning: no", "no convergence curves", "no truncation curve",
        "no patch features", "RASA left no diagnostics", "there are no maps",
    ):  # fmt: skip
        assert words in text
