"""The card says what the accounts say."""

from data_filters.ledger import Entry
from data_filters.pack.card import write_card


def test_the_card():
    funnel = [
        Entry(stage="fetch_metadata", filter="read", entered=2000),
        Entry(
            stage="filter_images", filter="shape", entered=2000, reasons={"c": 5, "a": 5, "b": 1490}
        ),
    ]
    statistics = {
        "samples": 500,
        "shards": 2,
        "bytes": 1_234_567,
        "captions": 480,
        "quantiles": {"width, pixels": [1, 2, 3, 4, 5000]},
        "formats": {"jpg": 490, "png": 10},
    }
    card = write_card(funnel, statistics, source="a set. Terms: none.")
    assert "500 images in 2 shards, 1,234,567 bytes of images, from 2,000 rows" in card
    assert "(25.0% kept)" in card
    assert "Source: a set. Terms: none." in card.splitlines()
    assert "| width, pixels | 1 | 2 | 3 | 4 | 5,000 |" in card
    assert "| filter_images | shape | 2,000 | 500 | 1,500 | b 1,490, a 5, c 5 |" in card
    assert "Formats: jpg 490, png 10." in card
