"""What a core does in a second in each data stage, measured by our own benchmarks."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

MACHINE: Final = "one thread of an AMD EPYC with AVX-512, CPU time, other jobs beside it"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Speed of a data stage on one core.

    Attributes:
        per_second: how many of `unit`.
        unit: rows of the source, rows that pass and are attempted, images that arrive, their
            bytes, or pairs of them that share a band of their hashes.
        megabytes: the most that a job held.
        source: the script that measured it.
    """

    per_second: float
    unit: Literal["rows", "attempts", "images", "bytes", "pairs"]
    megabytes: float
    source: str


# docs/log.md has the conditions. Metadata: 5 million rows; images: a thousand of 124 kB, 683 x 512.
# Gathering signatures: ten million within 1,000 MB, without evaluation images. Those: 700,000 with
# their crops and mirror images, 27 million hashes at radius 6.
# Downloading: img2dataset 1.47 from the loopback, images shrunk and packed, without TLS.
RATES: Final = MappingProxyType(
    {
        "fetch_metadata": Rate(
            per_second=0.57e6, unit="rows", megabytes=266, source="metadata_scale"
        ),
        "filter_metadata": Rate(
            per_second=0.57e6, unit="rows", megabytes=267, source="metadata_scale"
        ),
        "filter_metadata, gathering": Rate(
            per_second=6.7e6, unit="attempts", megabytes=63, source="metadata_scale"
        ),
        "download_images": Rate(
            per_second=160, unit="attempts", megabytes=301, source="img2dataset"
        ),
        "filter_images": Rate(per_second=245, unit="images", megabytes=255, source="image_stages"),
        "deduplicate": Rate(per_second=812, unit="images", megabytes=248, source="image_stages"),
        "deduplicate, gathering": Rate(
            per_second=243e3, unit="images", megabytes=690, source="dedup_memory"
        ),
        "deduplicate, near pairs": Rate(
            per_second=48e6, unit="pairs", megabytes=690, source="hash_pairs"
        ),
        "deduplicate, evaluation images": Rate(
            per_second=14.9e3, unit="images", megabytes=1190, source="hash_pairs"
        ),
        "pack_shards": Rate(per_second=443e6, unit="bytes", megabytes=223, source="image_stages"),
    }
)

# A set of fine-tuning: copied, decoded, signed and packed in one stage.
PACK_HIGHRES: Final = Rate(per_second=186, unit="images", megabytes=356, source="image_stages")

# A local source is copied: no network, and no image is decoded.
COPY: Final = Rate(per_second=2696, unit="attempts", megabytes=301, source="image_stages")

# How many times as many images share a band of their hashes as would by chance: 24,997 hashes of
# photographs (Tiny-ImageNet), three bands (hash_pairs --photographs).
PAIRS_OVER_CHANCE: Final = 1.9
