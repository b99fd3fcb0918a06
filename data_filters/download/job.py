"""What one worker process is told."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from data_filters.config import DownloadImages
from data_filters.download.plan import ShardPlan


class Job(BaseModel):
    """Some shards, the limits, and where things go.

    Attributes:
        shards: What to download.
        cfg: The limits.
        output: Where raw shards appear; every machine that works on them must see it.
        origin: `host:port` put in place of `{origin}` in URLs, for the embedded world.
    """

    model_config = ConfigDict(frozen=True)

    shards: tuple[ShardPlan, ...]
    cfg: DownloadImages
    output: Path
    origin: str | None

    def left(self) -> list[ShardPlan]:
        """Shards that are not there yet."""
        return [plan for plan in self.shards if not plan.is_done(self.output)]

    def file(self, suffix: str) -> Path:
        """A file of this job's own: `.json` (itself), `.log`, `.beat` (touched as work goes on)."""
        return self.output / f"worker-{self.shards[0].shard:06d}{suffix}"
