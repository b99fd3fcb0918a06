"""Types, bounds and meaning of the data half's parameters; the numbers live in params.yaml."""

from ipaddress import ip_network
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import Field, computed_field, model_validator

from data_filters.catalogue import Counts, lookup
from data_filters.config_models import Device, PinnedFile, Scorer, Semantic
from data_filters.section import Section
from data_filters.source_kinds import (
    Embedded,
    Folder,
    Huggingface,
    HuggingfaceParquet,
    Layout,
    LocalSource,
    UrlTable,
    Webdataset,
)


class EvaluationSet(Protocol):
    """What decontamination needs to know of an evaluation set, whoever declares it."""

    @property
    def root(self) -> str:
        """Folder of the set; `{scenes}` stands for the embedded world."""

    @property
    def kind(self) -> str:
        """What it evaluates."""

    @property
    def format(self) -> str:
        """How it is laid out on disk."""

    @property
    def test_split(self) -> str:
        """Name of the split that is scored."""


# --- where images come from ------------------------------------------------------------------


class Catalogue(Section):
    """A published data set that `franca data sources` lists: layout, columns, counts and terms."""

    kind: Literal["catalogue"]
    name: str = Field(description="Its name in data_filters/catalogue.py.")
    root: str | None = Field(
        default=None,
        description="Where your copy is: a local path or any fsspec URL; null: where its "
        "publisher has it.",
    )
    partial: bool = Field(
        default=False, description="Whether your copy may hold less than the catalogue says."
    )

    @model_validator(mode="after")
    def _is_known_and_somewhere(self) -> Self:
        lookup(self.name).layout_at(self.root)
        return self

    @computed_field(description="What the name stands for, so that a change of it is noticed.")  # type: ignore[prop-decorator]
    @property
    def layout(self) -> Layout:
        """How and where the set lies."""
        return lookup(self.name).layout_at(self.root)

    @property
    def expected(self) -> Counts | None:
        """What must be there; None where anything may."""
        return None if self.partial else lookup(self.name).counts


Source = Annotated[
    Embedded | UrlTable | Folder | HuggingfaceParquet | Huggingface | Webdataset | Catalogue,
    Field(discriminator="kind"),
]


def layout_of(source: Source) -> Layout:
    """How and where a source lies, whether it was declared in full or by its name."""
    return source.layout if isinstance(source, Catalogue) else source


# --- the stages ------------------------------------------------------------------------------


class FetchMetadata(Section):
    """Read the source's tables, or list its images, into parts with one set of columns."""

    source: Source = Field(description="Where images come from; download_images reads it too.")
    groups: int = Field(
        ge=1,
        le=1000,
        description="Equal stretches of the rows that later stages work through independently, a "
        "job each. How many changes neither the shards nor the verdicts.",
    )


class Thresholds(Section):
    """What a row must satisfy. Null switches a filter off."""

    min_side: int | None = Field(ge=1, description="Shorter side, pixels.")
    min_area: int | None = Field(ge=1, description="Width times height, pixels.")
    max_aspect_ratio: float | None = Field(ge=1, description="Longer side over shorter side.")
    max_punsafe: float | None = Field(
        ge=0, le=1, description="Rows at or above this probability of being unsafe are dropped."
    )
    max_pwatermark: float | None = Field(
        ge=0, le=1, description="Rows at or above this probability of a watermark are dropped."
    )
    min_similarity: float | None = Field(
        ge=-1, le=1, description="CLIP similarity of image and caption."
    )
    min_caption_characters: int | None = Field(ge=1, description="Characters, ends trimmed.")
    min_caption_words: int | None = Field(ge=1, description="Words between white space.")
    allowed_languages: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        description="Languages of the caption that may pass, codes such as `en`: what the source "
        "says, and where it says nothing what fastText finds."
    )
    allowed_statuses: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        description="Values of the source's own download status that may pass."
    )
    missing: Literal["keep", "drop"] = Field(
        description="What happens to a row that lacks a value for which a threshold is set."
    )


class DenyList(PinnedFile):
    """One entry a line (`#` begins a comment line; `.gz`), or parquet with a column `matches`."""

    matches: Literal["domain", "url", "md5"] = Field(
        description="What the entries are. A domain stands for its subdomains too."
    )


PresetName = Literal["franca_paper", "relaion_600m", "datacomp_basic", "laion_aesthetic"]


class FilterMetadata(Section):
    """Judge every row by its metadata."""

    thresholds: PresetName | Thresholds = Field(
        description="Name of a published recipe (data_filters/metadata/presets.py), or numbers."
    )
    allowed_schemes: tuple[Literal["http", "https"], ...] = Field(
        min_length=1, description="URL schemes that may be fetched."
    )
    denied_domains: tuple[Annotated[str, Field(pattern=r"^[^\s/:*@]+$")], ...] = Field(
        description="Domains never fetched, with all of their subdomains."
    )
    denied_url_patterns: tuple[str, ...] = Field(
        description="Regular expressions (RE2); a URL in which one is found is dropped."
    )
    deny_lists: tuple[DenyList, ...] = Field(
        max_length=32,
        description="Files of domains, URLs or MD5 sums that must not be fetched: deny-lists, opt-"
        "outs, removals.",
    )
    drop_repeated_urls: bool = Field(description="Whether only one row of each URL passes.")
    sample_fraction: float = Field(
        gt=0,
        le=1,
        description="Share of rows to keep, by a keyed hash: a smaller share is always a subset of "
        "a larger one.",
    )


class Resize(Section):
    """Shrink images as they arrive. A JPEG that needs no shrinking keeps its bytes."""

    mode: Literal["keep_ratio", "keep_ratio_largest", "center_crop"] = Field(
        description="img2dataset's resize_mode: keep_ratio measures the shorter side."
    )
    size: int = Field(ge=8, description="Pixels of the measured side.")
    quality: int = Field(ge=1, le=100, description="JPEG quality of what is encoded again.")


class DownloadImages(Section):
    """Fetch the images of the kept rows into raw shards."""

    distributor: Literal["multiprocessing", "pyspark", "ray"] = Field(
        description="Who runs the processes that download: this machine, or a Spark or Ray cluster "
        "whose machines see the work folder."
    )
    rows_per_shard: int = Field(ge=1, le=100_000, description="Rows per raw shard.")
    shards_per_process: int = Field(
        ge=1, description="Raw shards after which a process is replaced by a fresh one."
    )
    threads: int = Field(ge=1, le=1024, description="Connections at a time, per process.")
    max_per_host: int = Field(ge=1, description="Connections to one host at a time, per process.")
    max_idle_connections: int = Field(
        ge=0, description="Connections kept open for the next request to their hosts, per process."
    )
    max_idle_seconds: float = Field(ge=0, description="Longest time that one is kept unused.")
    timeout_seconds: float = Field(gt=0, description="Longest silence on a connection.")
    total_timeout_seconds: float = Field(
        gt=0, description="Longest time for one attempt, redirects and body included."
    )
    hang_seconds: float = Field(
        gt=0, description="A process in which no URL ends for so long is killed and started again."
    )
    worker_restarts: int = Field(
        ge=0, description="Restarts of a process that hung or died with no shard done in between."
    )
    max_bytes: int = Field(ge=1, description="Largest response accepted.")
    max_pixels: int = Field(ge=1, description="Largest image decoded when resizing, pixels.")
    retries: int = Field(
        ge=0,
        le=10,
        description="Further attempts after a failure that may pass: 408, 425, 429, 5xx, silence, "
        "a broken connection, a busy resolver.",
    )
    backoff_seconds: float = Field(
        ge=0, description="Pause before the second attempt; doubles with each one."
    )
    max_backoff_seconds: float = Field(
        ge=0, description="Longest pause. A server that asks for more (Retry-After) is left alone."
    )
    dns_cache_seconds: float = Field(ge=0, description="How long addresses of a host are kept.")
    allowed_networks: tuple[str, ...] = Field(
        description="Networks that may be contacted though they are not public: `127.0.0.0/8`."
    )
    user_agent: str = Field(
        min_length=1,
        description="Name in the User-Agent header; opt-outs for it, or for img2dataset, count.",
    )
    robots_txt: bool = Field(description="Whether robots.txt of each host is asked and obeyed.")
    verify_md5: bool = Field(
        description="Whether bytes must match the source's md5 where it states one."
    )
    resize: Resize | None = Field(description="Null keeps original bytes and never decodes.")
    min_success_rate: float = Field(
        ge=0, le=1, description="The stage fails when a smaller share of all rows arrives."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.total_timeout_seconds < self.timeout_seconds:
            raise ValueError(
                "download_images.total_timeout_seconds is smaller than timeout_seconds: raise it"
            )
        pauses = self.retries * self.max_backoff_seconds
        longest = (self.retries + 1) * (self.total_timeout_seconds + self.timeout_seconds) + pauses
        longest *= 1 + self.robots_txt
        if self.hang_seconds < longest:
            raise ValueError(
                f"download_images.hang_seconds is {self.hang_seconds:g}, but one URL may take "
                f"{longest:g} s with its retries and pauses: raise it"
            )
        for network in self.allowed_networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"download_images.allowed_networks: {error}") from error
        return self


PIXEL_FILTERS: Final = (
    "header", "animation", "shape", "decoding", "uniformity", "sharpness",
)  # fmt: skip
"""Names of the filters that need no model, in the order they judge."""


class FilterImages(Section):
    """Judge every image by its pixels, then by models. Null switches a filter off."""

    max_pixels: int = Field(ge=1, description="Larger images are refused before decoding.")
    allow_animated: bool = Field(description="Whether images of several frames pass.")
    min_side: int | None = Field(ge=1, description="Shorter side, pixels, upright.")
    max_aspect_ratio: float | None = Field(ge=1, description="Longer side over shorter side.")
    min_entropy: float | None = Field(
        ge=0, le=8, description="Entropy of the grey histogram, bits: uniform images have none."
    )
    min_sharpness: float | None = Field(
        ge=0,
        description="Variance of the Laplacian, squared grey levels: blurred images have little.",
    )
    max_unreadable_rate: float = Field(
        ge=0, le=1, description="The stage fails when more of a group's images cannot be decoded."
    )
    models: tuple[Scorer, ...] = Field(
        description="Models that score what can be decoded, and judge in this order; see "
        "docs/filters.md. None by default: the user brings the weights."
    )
    device: Device = Field(description="Where models run; auto is a GPU where there is one.")
    batch_size: int = Field(ge=1, le=4096, description="Images that a model sees at a time.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [model.name for model in self.models]
        taken = {*PIXEL_FILTERS, *(name for name in names if names.count(name) > 1)}
        for name in names:
            if name in taken:
                raise ValueError(
                    f"filter_images.models: the name {name!r} is taken: choose another"
                )
        return self


class Deduplicate(Section):
    """Remove duplicates, and everything that resembles an evaluation image."""

    near_duplicate_radius: int | None = Field(
        ge=0,
        le=16,
        description="Perceptual hashes (64 bits) that differ in at most this many bits are one "
        "image; null looks for exact duplicates only.",
    )
    evaluation_radius: int | None = Field(
        ge=0, le=16, description="The same, towards evaluation images."
    )
    min_contrast: float = Field(
        ge=0,
        le=128,
        description="Images whose hashed frequencies add up to a smaller standard deviation, "
        "in grey levels, have no perceptual hash worth comparing.",
    )
    mirrored: bool = Field(description="Whether an image and its mirror image are duplicates.")
    evaluation_mirrored: bool = Field(
        description="Whether mirror images of evaluation images, and of their crops, leak."
    )
    evaluation_crops: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = Field(
        description="Shares cut off evaluation images, at all sides or some: what is left leaks."
    )
    semantic: Semantic | None = Field(
        description="Duplicates by meaning: close embeddings; see docs/filters.md. Null by "
        "default: the user brings the weights."
    )
    evaluation_splits: Literal["held_out", "all"] = Field(
        description="Whether the training splits of evaluation sets may stay (held_out), or are "
        "removed as well (all)."
    )


class PackShards(Section):
    """Write the training shards."""

    samples_per_shard: int = Field(ge=1, le=100_000, description="Images per shard.")
    min_samples: int = Field(
        ge=1, description="The stage fails when fewer images are left to train on."
    )


ImageSource = Annotated[
    Folder | HuggingfaceParquet | Huggingface | Webdataset | Catalogue,
    Field(discriminator="kind"),
]


class PackHighres(Section):
    """Pack whole data sets for high-resolution fine-tuning and RASA, apart from pre-training."""

    sets: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], ImageSource] = Field(
        description="Sources of images by name; `{scenes}` in a root stands for the embedded "
        "world. None: fine-tuning and RASA see the shards of pre-training."
    )
    evaluation_images: Literal["drop", "keep"] = Field(
        description="Whether images of the evaluation sets stay (the paper kept VOC's), by the "
        "rules of deduplicate."
    )
    max_unreadable_rate: float = Field(
        ge=0, le=1, description="The stage fails when more of a set's images cannot be read."
    )
    samples_per_shard: int = Field(ge=1, le=100_000, description="Images per shard, at most.")

    @model_validator(mode="after")
    def _hold_images(self) -> Self:
        for name, source in self.sets.items():
            if not isinstance(layout_of(source), LocalSource):
                raise ValueError(
                    f"pack_highres.sets.{name}: a table of URLs, whose images nobody has yet: name "
                    "a source that holds images"
                )
        return self
