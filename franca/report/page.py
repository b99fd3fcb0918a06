"""From blocks to files: one self-contained HTML page, the same in Markdown, and the sheets."""

import base64
import re
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup, escape

from franca.report import pictures
from franca.report.blocks import Block, Fold, Gallery, Grid, Page, Thumbnail
from franca.report.figures import Figures

_SHEET_SIDE: Final = 128
_SHEET_COLUMNS: Final = 8


def write_page(page: Page, *, output: Path, figures: Figures) -> None:
    """Write `index.html` and `report.md`, and a sheet in `figures/` for every set of pictures.

    Args:
        page: What to show.
        output: Folder that holds the files.
        figures: The folder `figures` in it, which the Markdown links to.
    """
    for section in page.sections:
        _write_sheets(section.blocks, figures)
    templates = _environment()
    for template, name in (("page.html.j2", "index.html"), ("page.md.j2", "report.md")):
        text = templates.get_template(template).render(page=page)
        (output / name).write_text(text, encoding="utf-8")


def _write_sheets(blocks: tuple[Block, ...], figures: Figures) -> None:
    for block in blocks:
        match block:
            case Fold(blocks=inner):
                _write_sheets(inner, figures)
            case Gallery(thumbnails=all_):
                rows = [all_[i : i + _SHEET_COLUMNS] for i in range(0, len(all_), _SHEET_COLUMNS)]
                figures.write(block.name, pictures.sheet(rows, side=_SHEET_SIDE))
            case Grid(rows=rows_, pixelated=pixelated):
                sheet = pictures.sheet(rows_, side=_SHEET_SIDE, pixelated=pixelated)
                figures.write(block.name, sheet)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("franca.report", "templates"),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = _inline_html
    environment.filters["data_uri"] = _data_uri
    environment.filters["table_text"] = _table_text
    return environment


def _inline_html(text: str) -> Markup:
    """Escape a text, then turn its `code` and **bold** into elements."""
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))  # noqa: S704  escaped


def _data_uri(picture: Thumbnail) -> str:
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"


def _table_text(text: str) -> str:
    """Make a text fit in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
