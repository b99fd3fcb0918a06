"""From blocks to files: escaped, self-contained, the same things in HTML and in Markdown."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from franca.report import pictures
from franca.report.blocks import (
    Cell,
    Column,
    Fold,
    Gallery,
    Grid,
    Listing,
    Missing,
    Page,
    Prose,
    Section,
    Table,
)
from franca.report.figures import Figures
from franca.report.page import write_page

HOSTILE = '<script>alert("x")</script> | `code` & **bold**'
VOID = {"meta", "link", "img", "br"}


class Checker(HTMLParser):
    """Collects tags and attributes, and whether every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.errors = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)


@pytest.fixture
def written(tmp_path):
    red = pictures.drawing(np.full((4, 4, 3), (255, 0, 0), np.uint8), label=HOSTILE)
    table = Table(
        caption=HOSTILE,
        columns=(Column(title="Name"), Column(title="Value", numeric=True)),
        rows=((Cell(text=HOSTILE), Cell(text="1.0", tone="better", note="[0.9, 1.1]")),),
    )
    page = Page(
        title="A title",
        subtitle=HOSTILE,
        abstract="An abstract.",
        facts=(("Scale", "tiny"),),
        sections=(
            Section(
                slug="one",
                title="First",
                blocks=(
                    Prose(text=HOSTILE),
                    Missing(text="Not there."),
                    Fold(title="More", blocks=(table, Listing(text="{'a': '<b>'}"))),
                ),
            ),
            Section(
                slug="two",
                title="Second",
                blocks=(
                    Gallery(name="many", caption="Many.", thumbnails=(red,) * 10),
                    Grid(name="grid", caption="Grid.", columns=("a", "b"), rows=((red, red),)),
                ),
            ),
        ),
    )
    write_page(page, output=tmp_path, figures=Figures(tmp_path / "figures", dpi=50))
    return tmp_path


@pytest.fixture
def html(written):
    return (written / "index.html").read_text(encoding="utf-8")


def test_every_element_is_closed(html):
    checker = Checker()
    checker.feed(html)
    assert (checker.errors, checker.open) == ([], [])


def test_nothing_hostile_survives(html):
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<code>code</code> &amp; <strong>bold</strong>" in html
    assert "{&#39;a&#39;: &#39;&lt;b&gt;&#39;}" in html


def test_nothing_is_fetched(html):
    checker = Checker()
    checker.feed(html)
    links = [value for name, value in checker.attributes if name in ("src", "href", "srcset")]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\((?!#)|@import", html)


def test_contents_lead_to_the_sections(html):
    targets = re.findall(r'<a [^>]*href="#([^"]+)"', html)
    assert targets == ["main", "one", "two"]
    assert all(f'id="{target}"' in html for target in targets)


def test_ids_are_unique(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_every_picture_has_a_text(html):
    assert html.count("<img") == 12
    assert html.count("alt=") == 12


def test_markdown_says_the_same_and_its_pictures_exist(written):
    markdown = (written / "report.md").read_text(encoding="utf-8")
    for text in (
        "# A title",
        "## First",
        "> Not there.",
        "<details><summary>More",
        "* Scale: tiny",
    ):
        assert text in markdown
    links = re.findall(r"\]\(([^)]+)\)", markdown)
    assert links == ["figures/many.png", "figures/grid.png"]
    assert all((written / link).is_file() for link in links)


def test_a_bar_in_a_cell_does_not_split_the_markdown_table(written):
    lines = (written / "report.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[0] == "| Name | Value | "
    assert rows[1] == "| --- | ---: |"
    assert len(re.findall(r"(?<!\\)\|", rows[2])) == 3


def test_a_table_whose_rows_do_not_fit_is_our_bug():
    with pytest.raises(AssertionError):
        Table(caption="", columns=(Column(title="a"),), rows=((Cell(text="1"), Cell(text="2")),))
