"""Figures whose bytes repeat: one theme, SVG for the page (coloured by its CSS), PNG beside it.

Colours are written as the light theme's; in the SVG each becomes a CSS variable of the same role,
so that one drawing serves light, dark and print. Nothing here touches matplotlib's global state.
"""

import functools
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from franca.report.blocks import Plot

P = ParamSpec("P")

INK: Final = "#1b1d22"
MUTED: Final = "#6b6f78"
RULE: Final = "#d9d7d0"
PAPER: Final = "#fffefb"
FAINT: Final = "#eceae4"
# Okabe and Ito's colours that stay apart for every kind of colour vision, darkened for thin lines.
SERIES: Final = ("#1f5fa8", "#c4561a", "#1d8a6b", "#a5558c", "#a67c00", "#4a9cc7")

_ROLES: Final = {
    INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper", FAINT: "faint",
    **{colour: f"series-{number}" for number, colour in enumerate(SERIES, start=1)},
}  # fmt: skip
WIDTH: Final = 8.8
_SIZE: Final = 9.0
THEME: Final[dict[Any, Any]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": _SIZE,
    "axes.titlesize": _SIZE,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": _SIZE,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlecolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": _SIZE - 1,
    "ytick.labelsize": _SIZE - 1,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": _SIZE - 1,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "path.simplify": True,
    "svg.fonttype": "none",
}


class Figures:
    """The folder of figures that a report is written with.

    Args:
        folder: Where the PNG files go; made if absent.
        dpi: Pixels per inch of the PNG files.
    """

    def __init__(self, folder: Path, *, dpi: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._dpi = dpi

    def save(self, figure: Figure, *, name: str, alt: str, caption: str) -> Plot:
        """Write `<name>.png` and return the block that shows the figure.

        Args:
            figure: Drawn under `themed`.
            name: File stem, unique in the page.
            alt: What a reader who cannot see it should know.
            caption: Printed under it.
        """
        # Untold, matplotlib stamps its version into PNG files and the date into SVG files.
        with _theme(), mpl.rc_context({"svg.hashsalt": name}):
            engine = figure.get_layout_engine()
            if engine is not None:  # laid out once, not once a file: it is most of the time
                engine.execute(figure)
                figure.set_layout_engine("none")
            figure.savefig(
                self._folder / f"{name}.png",
                dpi=self._dpi,
                facecolor=PAPER,
                metadata={"Software": None},
            )
            buffer = io.StringIO()
            figure.savefig(
                buffer,
                format="svg",
                metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
            )
        svg = _adapt(buffer.getvalue(), name=name, alt=alt)
        return Plot(name=name, alt=alt, caption=caption, svg=svg)

    def write(self, name: str, data: bytes) -> None:
        """Write an already encoded PNG as `<name>.png`."""
        (self._folder / f"{name}.png").write_bytes(data)


@contextmanager
def _theme() -> Iterator[None]:
    """Put the theme in force for a while, free of what a user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(THEME)
        yield


def themed(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a function that draws: its figure takes the theme."""

    @functools.wraps(draw)
    def draw_themed(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _theme():
            return draw(*args, **kwargs)

    return draw_themed


def new(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches; `WIDTH` fills the page's column."""
    layout = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.08)
    return Figure(figsize=(width, height), layout=layout)


def _adapt(svg: str, *, name: str, alt: str) -> str:
    """Make a drawing fit to stand in a page: its own ids, the page's fonts and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>", "", svg)
    width, _ = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups()  # type: ignore[union-attr]
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    opening = f'<svg role="img" aria-label="{label}" style="max-width: {float(width):.0f}pt" '
    svg = re.sub(r'<svg xmlns:xlink="[^"]*" width="[^"]*" height="[^"]*" ', opening, svg, count=1)
    svg = svg.replace(' xmlns="http://www.w3.org/2000/svg"', "").replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", svg)
    svg = re.sub(r"font: ([^'\"]*)'[^;\"]*", r"font: \1var(--sans)", svg)
    for colour, role in _ROLES.items():
        svg = svg.replace(colour, f"var(--{role})")
    # Coordinates to a tenth of a point are finer than any screen and save a third of the page.
    svg = re.sub(r'\b(d|x|y|transform)="[^"]*"', lambda found: _round(found[0]), svg)
    return re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><").strip()


def _round(attribute: str) -> str:
    return re.sub(r"(\d+\.\d)\d+", r"\1", attribute)
