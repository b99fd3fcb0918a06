"""Types, bounds and meaning of the data half's parameters; the numbers live in params.yaml."""

from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, computed_field, model_validator

from data_filters.section import Section
from data_filters.sources.catalogue import Counts, lookup
from data_filters.sources.kinds import (
    Embedded,
    Folder,
    Huggingface,
    HuggingfaceParquet,
    Layout,
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


# --- where images come from ------------------------------------------------------------------


class Catalogue(Section):
    """A published data set that `franca data sources` lists: layout, columns, counts and terms."""

    kind: Literal["catalogue"]
    name: str = Field(description="Its name in data_filters/sources/catalogue.py.")
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
    allowed_statuses: tuple[str, ...] | None = Field(
        description="Values of the source's own download status that may pass."
    )
    missing: Literal["keep", "drop"] = Field(
        description="What happens to a row that lacks a value for which a threshold is set."
    )


PresetName = Literal["franca_paper", "relaion_600m", "datacomp_basic", "laion_aesthetic"]


class FilterMetadata(Section):
    """Judge every row by its metadata."""

    thresholds: PresetName | Thresholds = Field(
        description="Name of a published recipe (data_filters/metadata/presets.py), or numbers."
    )
    allowed_schemes: tuple[str, ...] = Field(
        min_length=1, description="URL schemes that may be fetched."
    )
    denied_domains: tuple[str, ...] = Field(
        description="Domains never fetched, with all of their subdomains."
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

    rows_per_shard: int = Field(ge=1, le=100_000, description="Rows per raw shard.")
    threads: int = Field(ge=1, le=1024, description="Connections at a time, per process.")
    timeout_seconds: float = Field(gt=0, description="Longest silence on a connection.")
    total_timeout_seconds: float = Field(gt=0, description="Longest time for one response.")
    max_bytes: int = Field(ge=1, description="Largest response accepted.")
    max_pixels: int = Field(ge=1, description="Largest image decoded when resizing, pixels.")
    retries: int = Field(ge=0, le=10, description="Further attempts after a failure that may pass.")
    allow_loopback: bool = Field(
        description="Whether 127.0.0.0/8 may be contacted. Other private addresses never are."
    )
    user_agent: str = Field(
        min_length=1, description="Token in the User-Agent header and in X-Robots-Tag opt-outs."
    )
    verify_md5: bool = Field(
        description="Whether bytes must match the source's md5 where it states one."
    )
    resize: Resize | None = Field(description="Null keeps original bytes and never decodes.")
    min_success_rate: float = Field(
        ge=0, le=1, description="The stage fails when a smaller share of rows arrives."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.total_timeout_seconds < self.timeout_seconds:
            raise ValueError(
                "download_images.total_timeout_seconds is smaller than timeout_seconds: raise it"
            )
        return self


class FilterImages(Section):
    """Judge every image by its pixels. Null switches a filter off."""

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
        ge=0, le=1, description="The stage fails when a larger share cannot be decoded."
    )


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
        description="Images whose 32x32 thumbnail has a smaller standard deviation, "
        "in grey levels, have no perceptual hash worth comparing.",
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
