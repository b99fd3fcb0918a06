"""Verdicts of the image stage."""

import pyarrow.parquet as pq
import pytest


def test_every_image_that_arrived_has_a_verdict(chain):
    for raw in sorted(chain.folders["download_images"].glob("*/raw/*.parquet")):
        arrived = [row["row_id"] for row in pq.read_table(raw).to_pylist() if row["kept"]]
        group = raw.parent.parent.name
        verdicts = chain.table("filter_images", f"{group}/verdicts/{raw.name}")
        assert [verdict["row_id"] for verdict in verdicts] == arrived
        for verdict in verdicts:
            assert verdict["kept"] == (verdict["reason"] is None) == (verdict["width"] is not None)


def test_too_many_unreadable_images_stop_the_pipeline(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"1 of \d+ images cannot be decoded, more than .* 0\.0%"):
        stages(
            world,
            tmp_path,
            names=["filter_images"],
            inputs=chain.folders,
            filter_images={"max_unreadable_rate": 0.0},
        )


def test_when_nothing_passes_the_worst_filter_is_named(chain, world, stages, tmp_path):
    with pytest.raises(ValueError, match=r"none of \d+ images passes; most are dropped by shape"):
        stages(
            world,
            tmp_path,
            names=["filter_images"],
            inputs=chain.folders,
            filter_images={"min_side": 1000},
        )
