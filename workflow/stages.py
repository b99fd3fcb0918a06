"""The stage table: which stages exist, their order, what each needs, fan-out, resumable or not.

A stage is a word. The same word is a row here, a section of params.yaml, a pydantic class, a module
with one `run`, a sub-command of `franca`, a Snakemake rule, a DVC stage and a folder of artefacts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the table.

    Attributes:
        name: The word.
        package: Where its module lives: `<package>.stages.<name>`.
        summary: One line for `franca --help`.
        needs: Stages whose published folders it reads.
        per_variant: Whether its result depends on the variant (data stages do not).
        shared: Sections of the parameters it reads besides `seed` and its own.
        fan_out: What it runs once for each of, before its results are gathered: every checkpoint,
            or every group of rows (`data_filters/groups.py`).
        by_group: Stages in `needs` of which one group reads the same group only.
        resumable: Whether it keeps state in `work/` that a killed run continues from.
        trains: Whether several processes of `torchrun` may run it together; it then also heeds a
            request to stop, and writes its speed and TensorBoard's files into a folder of `logs/`.
        version: Raised whenever the same parameters and inputs lead to another result, so that
            both engines rerun it.
    """

    name: str
    package: Literal["data_filters", "franca"]
    summary: str
    needs: tuple[str, ...] = ()
    per_variant: bool = False
    shared: tuple[str, ...] = ()
    fan_out: Literal["checkpoint", "group"] | None = None
    by_group: tuple[str, ...] = ()
    resumable: bool = False
    trains: bool = False
    version: int = 1

    @property
    def class_name(self) -> str:
        """The pydantic class of its section: `pack_shards` -> `PackShards`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


STAGES: tuple[Stage, ...] = (
    Stage(
        name="scenes",
        package="franca",
        summary="Render the embedded world: images to download, and evaluation sets with truth.",
    ),
    Stage(
        name="fetch_metadata",
        package="data_filters",
        summary="Read the source's tables (or list its images) into metadata parts.",
        needs=("scenes",),
        resumable=True,
        version=3,
    ),
    Stage(
        name="filter_metadata",
        package="data_filters",
        summary="Judge every metadata row in one vectorised pass; keep, or drop with a reason.",
        needs=("fetch_metadata",),
        shared=("fetch_metadata",),
        fan_out="group",
        version=3,
    ),
    Stage(
        name="download_images",
        package="data_filters",
        summary="Fetch the kept images with img2dataset (or copy local ones) into raw shards.",
        needs=("filter_metadata", "scenes"),
        shared=("fetch_metadata",),
        fan_out="group",
        resumable=True,
        version=3,
    ),
    Stage(
        name="filter_images",
        package="data_filters",
        summary="Judge every image by its pixels; keep, or drop with a reason.",
        needs=("download_images", "filter_metadata"),
        fan_out="group",
        resumable=True,
        version=3,
        by_group=("download_images", "filter_metadata"),
    ),
    Stage(
        name="deduplicate",
        package="data_filters",
        summary="Remove exact and near duplicates, and every evaluation image.",
        needs=("filter_images", "download_images", "scenes"),
        shared=("evaluation_sets",),
        fan_out="group",
        resumable=True,
        by_group=("filter_images", "download_images"),
        version=3,
    ),
    Stage(
        name="pack_shards",
        package="data_filters",
        summary="Pack what is left into webdataset shards with an index, a manifest and a ledger.",
        needs=(
            "deduplicate", "filter_images", "download_images", "filter_metadata", "fetch_metadata",
        ),
        shared=("fetch_metadata",),
        version=3,
    ),
    Stage(
        name="pack_highres",
        package="data_filters",
        summary="Pack whole data sets for high-resolution fine-tuning and RASA, set by set.",
        needs=("deduplicate", "scenes"),
        shared=("deduplicate",),
        resumable=True,
        version=2,
    ),
    Stage(
        name="pretrain",
        package="franca",
        summary="Train teacher and student with nested clustering heads and cyclic masks.",
        needs=("pack_shards",),
        per_variant=True,
        resumable=True,
        trains=True,
    ),
    Stage(
        name="finetune_highres",
        package="franca",
        summary="Continue at a higher resolution on a longer position grid.",
        needs=("pretrain", "pack_shards", "pack_highres"),
        per_variant=True,
        resumable=True,
        trains=True,
    ),
    Stage(
        name="rasa",
        package="franca",
        summary="Find the linear map that removes absolute position from patch features.",
        needs=("finetune_highres", "pack_shards", "pack_highres"),
        per_variant=True,
        resumable=True,
    ),
    Stage(
        name="evaluate",
        package="franca",
        summary="Run the benchmarks on every kept checkpoint and on the random initialisation.",
        needs=("pretrain", "finetune_highres", "rasa", "scenes"),
        per_variant=True,
        shared=("evaluation_sets",),
        fan_out="checkpoint",
        version=2,
    ),
    Stage(
        name="report",
        package="franca",
        summary="Write the page that people read.",
        needs=(
            "scenes", "fetch_metadata", "filter_metadata", "download_images", "filter_images",
            "deduplicate", "pack_shards", "pack_highres", "pretrain", "finetune_highres", "rasa",
            "evaluate",
        ),
        per_variant=True,
        version=3,
    ),
)  # fmt: skip

BY_NAME = {stage.name: stage for stage in STAGES}
ARTIFACTS, WORK, LOGS = Path("artifacts"), Path("work"), Path("logs")
RECEIPT, OUTPUTS = "receipt.json", "outputs.json"
COMPARED = ("dinov2", "franca")  # the variants of the ablation: the baseline and the method


def _folder(top: Path, stage: Stage, *, scale: str, variant: str) -> Path:
    return top / scale / variant / stage.name if stage.per_variant else top / scale / stage.name


def artifact_folder(stage: Stage, *, scale: str, variant: str) -> Path:
    """Where the stage publishes: `artifacts/<scale>/[<variant>/]<stage>`."""
    return _folder(ARTIFACTS, stage, scale=scale, variant=variant)


def work_folder(stage: Stage, *, scale: str, variant: str) -> Path:
    """Where the stage keeps what lets it resume; owned by neither engine."""
    return _folder(WORK, stage, scale=scale, variant=variant)


def log_file(stage: Stage, *, scale: str, variant: str, part: str | None = None) -> Path:
    """Where the log of the stage, or of one of its parts, is appended."""
    folder = _folder(LOGS, stage, scale=scale, variant=variant)
    return folder.with_name(f"{stage.name}-{part}.log" if part else f"{stage.name}.log")


def receipt_file(stage: Stage, *, scale: str, variant: str) -> Path:
    """The small file over which every edge of both graphs runs."""
    return artifact_folder(stage, scale=scale, variant=variant) / RECEIPT


def params_file(stage: Stage, *, scale: str, variant: str) -> Path:
    """The stage's resolved parameters: an input like any other, rewritten only when they change."""
    folder = artifact_folder(stage, scale=scale, variant=variant)
    return folder.parent / "params" / f"{stage.name}.json"
