"""Figures repeat byte for byte, and take their colours from the page."""

import re

import matplotlib as mpl
import pytest

from franca.report.figures import INK, PAPER, SERIES, Figures, new, themed


@themed
def draw():
    figure = new(3.0, 2.0)
    axes = figure.subplots()
    for tone, colour in enumerate(SERIES[:2]):
        axes.plot([0, 1, 2], [0.00075, 0.0005 * tone, 0.001], color=colour, label=f"line {tone}")
    axes.fill_between([0, 2], [0, 0], [0.001, 0.001], color=SERIES[0], alpha=0.2)
    axes.set_title("A title & more")
    axes.legend()
    return figure


def save(folder, name="plot"):
    plot = Figures(folder, dpi=80).save(draw(), name=name, alt='An "alt" & more', caption="Words.")
    return plot, (folder / f"{name}.png").read_bytes()


def test_bytes_repeat_whatever_the_users_settings(tmp_path):
    plot, png = save(tmp_path / "a")
    with mpl.rc_context({"font.size": 22, "axes.grid": False, "lines.linewidth": 9}):
        again, png_again = save(tmp_path / "b")
    assert plot == again
    assert png == png_again


def test_no_clock_and_no_program_version_in_the_files(tmp_path):
    plot, png = save(tmp_path)
    assert b"Software" not in png
    assert b"matplotlib" not in png.lower()
    assert "metadata" not in plot.svg
    assert "date" not in plot.svg


def test_colours_are_roles_that_the_page_defines(tmp_path):
    plot, _ = save(tmp_path)
    assert "var(--series-1)" in plot.svg
    assert "var(--ink)" in plot.svg
    for colour in (INK, PAPER, *SERIES):
        assert colour not in plot.svg


def test_two_figures_share_no_id(tmp_path):
    ids = [
        set(re.findall(r'\bid="([^"]+)"', save(tmp_path, name)[0].svg)) for name in ("one", "two")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_references_point_inside_the_figure(tmp_path):
    svg = save(tmp_path)[0].svg
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    used = re.findall(r"url\(#([^)]+)\)", svg) + re.findall(r'href="#([^"]+)"', svg)
    assert used
    assert set(used) <= ids
    assert "http" not in svg


def test_tick_labels_keep_their_digits(tmp_path):
    assert ">0.0002</text>" in save(tmp_path)[0].svg


def test_the_picture_has_a_name_for_those_who_cannot_see_it(tmp_path):
    assert 'role="img" aria-label="An &quot;alt&quot; &amp; more"' in save(tmp_path)[0].svg


@pytest.mark.parametrize("dpi", [50, 100])
def test_png_has_the_asked_resolution(tmp_path, dpi):
    Figures(tmp_path, dpi=dpi).save(draw(), name="plot", alt="", caption="")
    width = int.from_bytes((tmp_path / "plot.png").read_bytes()[16:20], "big")
    assert width == 3 * dpi
