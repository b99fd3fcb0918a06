"""Which rows make up which shard."""

from data_filters.base import drop
from data_filters.download.plan import plan_shards
from data_filters.download.raw_shard import Fetched, write_raw_shard


def test_every_row_is_in_one_shard_and_no_shard_spans_parts(metadata_part):
    parts = [metadata_part([{}] * size) for size in (5, 0, 4)]
    plans = plan_shards(parts, rows_per_shard=2)
    assert [(plan.shard, plan.file, plan.start, plan.stop) for plan in plans] == [
        (0, parts[0], 0, 2), (1, parts[0], 2, 4), (2, parts[0], 4, 5),
        (3, parts[2], 0, 2), (4, parts[2], 2, 4),
    ]  # fmt: skip
    assert plans[4].stem == "shard-000004"


def test_a_shard_is_done_when_its_table_has_all_rows(metadata_part, tmp_path):
    (plan,) = plan_shards([metadata_part([{}] * 2)], rows_per_shard=9)
    rows = [Fetched(name, b"", drop("timeout")) for name in "ab"]
    assert not plan.is_done(tmp_path)
    write_raw_shard(tmp_path, plan.stem, shard=0, rows=rows[:1])
    assert not plan.is_done(tmp_path)
    write_raw_shard(tmp_path, plan.stem, shard=0, rows=rows)
    assert plan.is_done(tmp_path)
