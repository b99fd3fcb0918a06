"""The tables of the data half: names, columns and types, and how rows are named."""

import hashlib
from typing import Final

import pyarrow as pa

KEY_LENGTH: Final = 32
"""Hexadecimal digits of a row id or sample key: 128 bits of a SHA-256."""

ROW_PREFIX: Final = "franca/row/"

FEW_VALUES: Final = frozenset(
    {"status", "filter", "reason", "stage", "verdict", "extension", "set", "tar"}
)
"""Columns of text in which values repeat; only these are stored with a dictionary."""

METADATA: Final = pa.schema(
    [
        ("row_id", pa.string()),  # content id of the URL or path; equal for equal addresses
        ("part", pa.int32()),  # (part, row) is unique: the position in the source
        ("row", pa.int64()),
        ("url", pa.string()),  # null for local sources
        ("path", pa.string()),  # null for URL sources
        ("caption", pa.string()),
        ("language", pa.string()),  # of the caption, as the source claims: a code such as "en"
        ("width", pa.int32()),  # of the original, pixels, as the source claims
        ("height", pa.int32()),
        ("similarity", pa.float64()),  # CLIP, image to caption
        ("punsafe", pa.float32()),
        ("pwatermark", pa.float32()),
        ("status", pa.string()),  # of the source's own download, e.g. "success"
        ("md5", pa.string()),  # of the original bytes, as the source claims
    ]
)

VERDICT: Final = pa.schema(
    [
        ("row_id", pa.string()),
        ("kept", pa.bool_()),
        ("filter", pa.string()),  # null when kept
        ("reason", pa.string()),  # null when kept; one of the filter's few words
        ("detail", pa.string()),  # what the reason refers to: an error, another image
    ]
)

METADATA_VERDICT: Final = pa.schema(
    [
        ("part", pa.int32()),  # rows go by their position, for row ids repeat before this stage
        ("row", pa.int64()),
        ("kept", pa.bool_()),
        ("filter", pa.string()),  # null when kept
        ("reason", pa.string()),  # null when kept; that of the first rule broken
        ("broken", pa.uint64()),  # bit i: the row breaks rule i of filter_metadata/ablation.json
    ]
)

DOMAIN: Final = pa.schema([("domain", pa.string()), ("rows", pa.int64())])

REPEATED: Final = pa.schema([("part", pa.int32()), ("row", pa.int64())])

RAW_IMAGE: Final = pa.schema(
    [
        *VERDICT,
        ("shard", pa.int32()),  # of the raw shard; the fields below are null when dropped
        ("extension", pa.string()),
        ("offset", pa.int64()),  # of the image bytes in the tar
        ("size", pa.int64()),
        ("sha256", pa.string()),
        ("original_md5", pa.string()),  # of the bytes as they came, before any resizing
    ]
)

IMAGE_VERDICT: Final = pa.schema(
    [
        *VERDICT,
        ("width", pa.int32()),  # after EXIF rotation; null, like those below, when dropped
        ("height", pa.int32()),
        ("pixels", pa.string()),  # SHA-256 of the size and the decoded pixels
    ]
)

SCORE: Final = pa.schema(
    [
        ("row_id", pa.string()),
        ("model", pa.string()),  # name of an entry of filter_images.models
        ("score", pa.float64()),
    ]
)

SIGNATURE: Final = pa.schema(
    [
        ("row_id", pa.string()),
        ("sha256", pa.string()),  # of the bytes
        ("perceptual", pa.uint64()),  # DCT hash
        ("mirrored", pa.uint64()),  # the same of the mirror image
        ("contrast", pa.float32()),  # standard deviation of what was hashed, grey levels
    ]
)

EVALUATION_SIGNATURE: Final = pa.schema(
    [
        ("set", pa.string()),  # key of the set in the parameters
        ("place", pa.string()),  # of the image, below the set's root
        IMAGE_VERDICT.field("pixels"),
        *list(SIGNATURE)[1:],
        ("cropped", pa.list_(pa.uint64())),  # hashes of crops, each followed by its mirror image's
    ]
)

PACKED: Final = pa.schema(
    [
        ("key", pa.string()),
        ("row_id", pa.string()),
        ("url", pa.string()),  # or the path, for local sources
        ("caption", pa.string()),
        ("sha256", pa.string()),
        ("original_md5", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("extension", pa.string()),
        ("tar", pa.string()),  # raw shard that holds it
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("shard", pa.int32()),  # that it goes to
    ]
)

INDEX: Final = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)

HIGHRES_INDEX: Final = pa.schema([*INDEX, ("set", pa.string())])  # key of pack_highres.sets

MANIFEST: Final = pa.schema(
    [
        ("key", pa.string()),
        ("row_id", pa.string()),
        ("url", pa.string()),  # or the path, for local sources
        ("caption", pa.string()),
        ("sha256", pa.string()),
        ("original_md5", pa.string()),  # of the bytes as they came, before any resizing
        ("shard", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)

LINK_ROT: Final = pa.schema(
    [
        ("row_id", pa.string()),
        ("url", pa.string()),
        ("shard", pa.int32()),
        ("verdict", pa.string()),  # same, changed or gone
        ("reason", pa.string()),  # why it is gone
        ("detail", pa.string()),  # what the reason refers to; the MD5 found, where it changed
        ("sha256", pa.string()),  # as published
        ("found_sha256", pa.string()),  # of what was fetched and resized now; null unless the same
    ]
)

LEDGER: Final = pa.schema(
    [
        ("part", pa.int32()),
        ("row", pa.int64()),
        ("row_id", pa.string()),
        ("url", pa.string()),  # or the path, for local sources
        ("stage", pa.string()),  # the last stage that saw the row
        ("verdict", pa.string()),  # kept or dropped
        ("filter", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("broken", pa.uint64()),  # bit i: the row breaks rule i of filter_metadata/ablation.json
        ("shard", pa.int32()),  # of the final shard, when kept
    ]
)

HIGHRES_LEDGER: Final = pa.schema(
    [
        ("set", pa.string()),  # key of pack_highres.sets
        ("path", pa.string()),  # below the root of the set
        *VERDICT,
        ("key", pa.string()),  # of the sample; the fields below are null when dropped
        ("shard", pa.int32()),
    ]
)


def content_id(address: str) -> str:
    """Name a row by its URL or path; equal on every machine, and equal to `content_id_sql`."""
    return hashlib.sha256((ROW_PREFIX + address).encode()).hexdigest()[:KEY_LENGTH]


def content_id_sql(column: str) -> str:
    """The DuckDB expression that computes `content_id` of a column."""
    return f"left(sha256(concat('{ROW_PREFIX}', {column})), {KEY_LENGTH})"
