"""The card: what the shards hold, how they came to be, and what to keep in mind."""

from collections.abc import Sequence
from typing import Any, Final

from data_filters.ledger import Entry

_ADVICE: Final = """\
## Use

The shards are plain webdataset tars. `index.parquet` has the place of every image (shard, offset,
size), `manifest.parquet` its origin, `ledger.parquet` the fate of every row of the source, with the
filter and the reason. Samples lie in the order of their SHA-256, so any shard is a random sample of
the whole, and equal content gives equal bytes.

Images and captions keep the rights of those who made them. Images whose servers opt out are not
here (`opted_out` in the ledger).
"""


def write_card(funnel: Sequence[Entry], statistics: dict[str, Any], *, source: str) -> str:
    """Return the card as Markdown.

    Args:
        funnel: The accounts of all stages, in order.
        source: What the rows are of, and under which terms, in a sentence or two.
        statistics: What `pack_shards` counted: name to number or to quantiles.
    """
    rows = funnel[0].entered
    summary = (
        f"{statistics['samples']:,} images in {statistics['shards']:,} shards, "
        f"{statistics['bytes']:,} bytes of images, from {rows:,} rows of the source "
        f"({statistics['samples'] / rows:.1%} kept)."
    )
    formats = ", ".join(f"{name} {count:,}" for name, count in statistics["formats"].items())
    lines = [
        "# Training shards",
        "",
        summary,
        "",
        f"Source: {source}",
        "",
        "## Content",
        "",
        "| | minimum | 5 % | median | 95 % | maximum |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | " + " | ".join(f"{value:,}" for value in quantiles) + " |"
            for name, quantiles in statistics["quantiles"].items()
        ),
        "",
        f"With a caption: {statistics['captions']:,}. Formats: {formats}.",
        "",
        "## Funnel",
        "",
        "| stage | filter | in | kept | dropped | reasons |",
        "|---|---|---|---|---|---|",
        *(_funnel_row(entry) for entry in funnel),
        "",
        _ADVICE,
    ]
    return "\n".join(lines)


def _funnel_row(entry: Entry) -> str:
    reasons = ", ".join(
        f"{reason} {count:,}"
        for reason, count in sorted(entry.reasons.items(), key=lambda item: (-item[1], item[0]))
    )
    return (
        f"| {entry.stage} | {entry.filter} | {entry.entered:,} | {entry.kept:,} | "
        f"{entry.dropped:,} | {reasons} |"
    )
