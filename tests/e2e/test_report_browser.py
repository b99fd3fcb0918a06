"""The report in a real browser: complete offline, light and dark, by keyboard, on paper."""

import json
import shutil

import pytest

from franca.config.report import Report
from franca.report.ablation import build_ablation
from franca.stages.report import run
from tests.e2e.browser import Browser
from tests.franca.report.world import make_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("chromium") is None, reason="no chromium (apt-get install chromium)"
    ),
]
METRICS = {"knn": "top1@k20"}
# The ratio of luminances by which text must stand out from its ground: WCAG 2.2, level AA.
LEAST_CONTRAST = 4.5


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report and the ablation page, by name."""
    root = tmp_path_factory.mktemp("pages")
    inputs = make_run(root / "run")
    baseline = make_run(root / "baseline", variant="dinov2")
    cfg = Report(
        max_gallery_images=6, max_dropped_images=2, max_dropped_rows=1, max_sample_images=3,
        thumbnail_side=64, dpi=50,
        main_metrics=METRICS,
    )  # fmt: skip
    (root / "report").mkdir()
    run(cfg, seed=0, inputs=inputs, output=root / "report", work=root / "work")
    evaluations = {"dinov2": baseline["evaluate"], "franca": inputs["evaluate"]}
    build_ablation(
        evaluations, scale="tiny", main_metrics=METRICS, dpi=50, output=root / "ablation"
    )
    return {name: root / name / "index.html" for name in ("report", "ablation")}


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("name", ["report", "ablation"])
def test_nothing_is_fetched_and_nothing_complained_of(pages, browser, name):
    browser.requests.clear()
    browser.problems.clear()
    browser.open(pages[name])
    outside = [url for url in browser.requests if not url.startswith("data:")]
    assert outside == [pages[name].as_uri()]
    assert browser.problems == []


def test_every_picture_decodes(pages, browser):
    browser.open(pages["report"])
    sizes = browser.evaluate("Array.from(document.images, i => [i.complete, i.naturalWidth])")
    assert len(sizes) > 20
    assert all(complete and width > 0 for complete, width in sizes)


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
@pytest.mark.parametrize("name", ["report", "ablation"])
def test_the_page_fits_its_window(pages, browser, name, width):
    browser.resize(width)
    browser.open(pages[name])
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_the_contents_do_not_cover_the_text(pages, browser):
    for width in (1160, 1280, 1920):
        browser.resize(width)
        browser.open(pages["report"])
        nav, main = json.loads(
            browser.evaluate(
                "JSON.stringify(['nav ol', 'main'].map("
                "s => document.querySelector(s).getBoundingClientRect()))"
            )
        )
        beside = nav["right"] <= main["left"]
        above = nav["bottom"] <= main["top"]
        assert beside or above, (width, nav, main)


CONTRASTS = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const channels = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
  };
  const luminance = colour => channels(colour)
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  const found = {};
  for (const name of ['h1', 'p', '.subtitle', 'figcaption', 'small', '.better', '.worse', 'nav a',
                      'summary', 'dt', 'td', 'svg text']) {
    const element = document.querySelector(name), style = getComputedStyle(element);
    const ink = luminance(element.closest('svg') ? style.fill : style.color);
    const [low, high] = [ink, paper].sort((a, b) => a - b);
    found[name] = (high + 0.05) / (low + 0.05);
  }
  return found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(pages, browser, scheme):
    browser.set_scheme(scheme)
    browser.open(pages["report"])
    contrasts = browser.evaluate(CONTRASTS)
    assert min(contrasts.values()) >= LEAST_CONTRAST, contrasts


def test_the_schemes_differ(pages, browser):
    grounds = []
    for scheme in ("light", "dark"):
        browser.set_scheme(scheme)
        browser.open(pages["report"])
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_keyboard_reaches_the_content_and_opens_what_is_folded(pages, browser):
    browser.open(pages["report"])
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    browser.evaluate("document.querySelector('summary').focus()")
    assert not browser.evaluate("document.querySelector('details').open")
    browser.press("Enter")
    assert browser.evaluate("document.querySelector('details').open")


def test_contents_lead_somewhere(pages, browser):
    browser.open(pages["report"])
    lost = browser.evaluate(
        "Array.from(document.querySelectorAll('a[href^=\"#\"]'), a => a.getAttribute('href'))"
        ".filter(href => !document.querySelector(href))"
    )
    assert lost == []


def test_it_prints(pages, browser):
    browser.set_scheme("dark")
    browser.open(pages["report"])
    pdf = browser.print_pdf()
    assert pdf.startswith(b"%PDF")
    assert 4 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 40
