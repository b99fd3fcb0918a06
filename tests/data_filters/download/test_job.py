"""A job knows what it still has to do."""

from data_filters.download.job import Job
from data_filters.download.plan import plan_shards
from data_filters.download.raw_shard import Fetched, write_raw_shard


def test_a_job_survives_its_file_and_shrinks_as_shards_appear(
    tmp_path, limits, metadata_part, jpeg
):
    plans = plan_shards([metadata_part([{}] * 3)], rows_per_shard=2)
    job = Job(shards=tuple(plans), cfg=limits(), output=tmp_path, origin=None)
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert job.left() == plans
    rows = [Fetched(name, jpeg(0)) for name in "ab"]
    write_raw_shard(tmp_path, plans[0].stem, shard=0, rows=rows)
    assert job.left() == plans[1:]
    assert job.file(".log") == tmp_path / "worker-000000.log"
