"""Published data sets, one declarative entry each: layout, columns, counts, licence, access.

`{kind: catalogue, name: voc2012, root: data/VOCdevkit/VOC2012}` in params.yaml names one of them,
and `franca data sources` lists all. Nothing here is redistributed: an entry says where its
publisher has the data and on what terms. Counts are those of the publishers or of the paper; where
we could not learn one, there is none, and nothing is checked.
"""

import difflib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from data_filters.source_kinds import Folder, HuggingfaceParquet, Layout, UrlTable, Webdataset

_HUB: Final = "hf://datasets/"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How much a whole copy holds; None where that is not known."""

    files: int | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file that the publisher offers.

    Attributes:
        url: Where.
        bytes: Its size; None where we do not know it.
        hash: `md5:…` or `sha256:…` of its content.
        unpack: The command that unpacks it.
    """

    url: str
    bytes: int | None
    hash: str
    unpack: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A published data set.

    Attributes:
        summary: What it is, in a line.
        layout: How it lies; its root is replaced by `layout_at`.
        public_root: Where the publisher has it, as an fsspec URL; None for archives and for what
            is handed out on request.
        below: Folder of the images or tables below the root of a copy.
        counts: Of a whole copy, as far as they are known.
        licence: Terms of the collection; images and captions keep the rights of their makers.
        access: How to get it.
        gated: Whether terms must be accepted with an account first.
        archives: Files to fetch and unpack, where it is published so.
    """

    summary: str
    layout: UrlTable | Folder | HuggingfaceParquet | Webdataset
    public_root: str | None = None
    below: str = ""
    counts: Counts = field(default_factory=Counts)
    licence: str
    access: str
    gated: bool = False
    archives: tuple[Archive, ...] = ()

    def layout_at(self, root: str | None) -> Layout:
        """The layout of the copy at `root`, or of the publisher's own.

        Raises:
            ValueError: No root, and the publisher has none that can be read from afar.
        """
        base = root or self.public_root
        if base is None:
            raise ValueError(f"{self.summary} is read from your own copy: set root. {self.access}")
        place = f"{base.rstrip('/')}/{self.below}" if self.below else base
        return self.layout.model_copy(update={"root": place})


_RELAION: Final = {
    "url": "url", "caption": "caption", "width": "original_width", "height": "original_height",
    "similarity": "similarity", "punsafe": "punsafe", "pwatermark": "pwatermark",
    "status": "status", "md5": "md5",
}  # fmt: skip
_LAION: Final = {
    "url": "URL", "caption": "TEXT", "width": "WIDTH", "height": "HEIGHT",
    "similarity": "similarity", "punsafe": "punsafe", "pwatermark": "pwatermark",
}  # fmt: skip
_DATACOMP: Final = {
    "url": "url", "caption": "text", "width": "original_width", "height": "original_height",
    "similarity": "clip_l14_similarity_score",
}  # fmt: skip
_COYO: Final = {
    "url": "url", "caption": "text", "width": "width", "height": "height",
    "similarity": "clip_similarity_vitb32", "punsafe": "nsfw_score_opennsfw2",
    "pwatermark": "watermark_score",
}  # fmt: skip


def _table(columns: dict[str, str] | None) -> UrlTable:
    return UrlTable.model_validate(
        {"kind": "url_table", "root": "", "files": "**/*.parquet", "columns": columns}
    )


def _folder() -> Folder:
    return Folder(kind="folder", root="", class_subfolders=False)


_PUBLIC: Final = "Public at https://huggingface.co/datasets/{}"
_GATED: Final = (
    "Gated: accept the terms at https://huggingface.co/datasets/{} with an account, then put a "
    "token that may read it into HF_TOKEN."
)

CATALOGUE: Final = MappingProxyType(
    {
        "relaion2b_en_research_safe": Entry(
            summary="ReLAION-2B-en-research-safe, LAION's cleaned release of 2024",
            layout=_table(_RELAION),
            public_root=_HUB + "laion/relaion2B-en-research-safe",
            counts=Counts(files=128, rows=2_097_693_557),
            licence="Apache-2.0 for the table (LAION's release post); research use",
            access=_GATED.format("laion/relaion2B-en-research-safe") + " 467 GB of tables.",
            gated=True,
        ),
        "relaion2b_multi_research_safe": Entry(
            summary="ReLAION-2B-multi-research-safe, captions in other languages than English",
            # nobody here has seen its schema: columns are found by the names of its relatives
            layout=_table(None),
            public_root=_HUB + "laion/relaion2B-multi-research-safe",
            licence="see its page; research use",
            access=_GATED.format("laion/relaion2B-multi-research-safe"),
            gated=True,
        ),
        "relaion_coco": Entry(
            summary="ReLAION-COCO, 600 M rows of LAION with synthetic captions, cleaned",
            # nobody here has seen its schema: columns are found by the names of its relatives
            layout=_table(None),
            public_root=_HUB + "laion/relaion-coco",
            licence="see its page; research use",
            access=_PUBLIC.format("laion/relaion-coco")
            + ", or gated: if it is refused, accept its "
            "terms and set HF_TOKEN.",
        ),
        "laion_coco": Entry(
            summary="LAION-COCO of 2022, in LAION's old layout: the paper's LAION-600M",
            layout=_table({**_LAION, "caption": "top_caption"}),
            counts=Counts(files=128),
            licence="CC-BY-4.0 for the table; withdrawn by its author",
            access="No longer handed out; a copy from before its withdrawal is read. It predates "
            "LAION's safety revision: relaion_coco replaces it.",
        ),
        "laion2b_en": Entry(
            summary="LAION-2B-en and its subsets (aesthetic, high resolution), LAION's old layout",
            layout=_table(_LAION),
            licence="CC-BY-4.0 for the table; withdrawn by its author",
            access="No longer handed out; relaion2b_en_research_safe replaces it.",
        ),
        "laion2b_multi": Entry(
            summary="LAION-2B-multi, captions in a hundred other languages, LAION's old layout",
            layout=_table({**_LAION, "language": "LANGUAGE"}),
            licence="CC-BY-4.0 for the table; withdrawn by its author",
            access="No longer handed out; relaion2b_multi_research_safe replaces it.",
        ),
        "datacomp_small": Entry(
            summary="CommonPool of DataComp, small: 12.8 M rows",
            layout=_table(_DATACOMP),
            public_root=_HUB + "mlfoundations/datacomp_small",
            licence="CC-BY-4.0 for the table",
            access=_PUBLIC.format("mlfoundations/datacomp_small") + ".",
        ),
        "datacomp_xlarge": Entry(
            summary="CommonPool of DataComp, all of it: 12.8 G rows",
            layout=_table(_DATACOMP),
            public_root=_HUB + "mlfoundations/datacomp_xlarge",
            licence="CC-BY-4.0 for the table",
            access=_PUBLIC.format("mlfoundations/datacomp_xlarge") + "; 3 TB.",
        ),
        "datacomp_1b": Entry(
            summary="DataComp-1B, the best baseline's 1.4 G rows of CommonPool",
            layout=_table(_DATACOMP),
            public_root=_HUB + "mlfoundations/datacomp_1b",
            licence="CC-BY-4.0 for the table",
            access=_PUBLIC.format("mlfoundations/datacomp_1b") + ".",
        ),
        "coyo_700m": Entry(
            summary="COYO-700M of Kakao Brain, 747 M rows",
            layout=_table(_COYO),
            public_root=_HUB + "kakaobrain/coyo-700m",
            below="data",
            licence="CC-BY-4.0 for the table",
            access=_PUBLIC.format("kakaobrain/coyo-700m") + ".",
        ),
        "imagenet_21k": Entry(
            summary="ImageNet-21K winter21, a tar for each of 19,167 synsets; 13,153,000 images "
            "by the paper's count",
            layout=Webdataset(kind="webdataset", root="", files="*.tar"),
            counts=Counts(files=19_167),
            licence="ImageNet terms: non-commercial research",
            access="Register at https://image-net.org, fetch winter21_whole.tar.gz and unpack it "
            "once: root is the folder of n*.tar.",
            gated=True,
        ),
        "imagenet_1k": Entry(
            summary="ImageNet-1K, training split, in the Hub's parquet files",
            layout=HuggingfaceParquet(
                kind="huggingface_parquet",
                root="",
                files="train-*.parquet",
                image_column="image",
                label_column="label",
            ),
            public_root=_HUB + "ILSVRC/imagenet-1k",
            below="data",
            counts=Counts(rows=1_281_167),
            licence="ImageNet terms: non-commercial research",
            access=_GATED.format("ILSVRC/imagenet-1k"),
            gated=True,
        ),
        "ade20k_train": Entry(
            summary="ADE20K (SceneParse150 of 2016), training images",
            layout=_folder(),
            below="images/training",
            counts=Counts(rows=20_210),
            licence="CSAIL terms: non-commercial research and education",
            access="`franca data fetch ade20k_train --to data`, unpack; root is "
            "ADEChallengeData2016.",
            archives=(
                Archive(
                    url="http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                    bytes=None,
                    hash="md5:7328b3957e407ddae1d3cbf487f149ef",
                    unpack="unzip ADEChallengeData2016.zip",
                ),
            ),
        ),
        "coco_train2017": Entry(
            summary="COCO, train2017",
            layout=_folder(),
            below="train2017",
            counts=Counts(rows=118_287),
            licence="annotations CC-BY-4.0; images under their Flickr licences",
            access="`franca data fetch coco_train2017 --to data/coco`, unpack; root is the folder "
            "of train2017/.",
            archives=(
                Archive(
                    url="http://images.cocodataset.org/zips/train2017.zip",
                    bytes=None,
                    hash="md5:cced6f7f71b7629ddf16f17bbcfab6b2",
                    unpack="unzip train2017.zip",
                ),
            ),
        ),
        "voc2012": Entry(
            summary="PASCAL VOC 2012, every image, validation included",
            layout=_folder(),
            below="JPEGImages",
            counts=Counts(rows=17_125),
            licence="Flickr terms; research use",
            access="`franca data fetch voc2012 --to data`, unpack; root is VOCdevkit/VOC2012.",
            archives=(
                Archive(
                    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                    bytes=1_999_639_040,
                    hash="md5:6cd6e144f989b92b3379bac3b3de84fd",
                    unpack="tar -xf VOCtrainval_11-May-2012.tar",
                ),
            ),
        ),
        "kitti_object_train": Entry(
            summary="KITTI object detection, left colour images of the training set",
            layout=_folder(),
            below="training/image_2",
            counts=Counts(rows=7_481),
            licence="CC-BY-NC-SA-3.0",
            access="`franca data fetch kitti_object_train --to data/kitti`, unpack; root is the "
            "folder of training/.",
            archives=(
                Archive(
                    url="https://s3.eu-central-1.amazonaws.com/avg-kitti/data_object_image_2.zip",
                    bytes=12_569_945_557,
                    hash="sha256:351c5a2aa0cd9238b50174a3a62b846bc5855da256b82a196431d60ff8d43617",
                    unpack="unzip data_object_image_2.zip",
                ),
            ),
        ),
    }
)


def lookup(name: str) -> Entry:
    """Return the entry of that name.

    Raises:
        ValueError: There is none; says which one may have been meant.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    close = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(CATALOGUE)}"
    raise ValueError(f"no data set {name!r} in the catalogue; {hint}")


def check_counts(name: str, expected: Counts, *, found: Counts, key: str) -> None:
    """Compare a copy with what the catalogue says of a whole one.

    Args:
        name: Of the entry.
        expected: Its counts.
        found: Those of the copy.
        key: Parameter to name in errors.

    Raises:
        ValueError: The copy is not whole.
    """
    for what in ("files", "rows"):
        number, there = getattr(expected, what), getattr(found, what)
        if number is not None and there != number:
            raise ValueError(
                f"{key}: {name} has {there:,} {what} here and {number:,} in the catalogue: "
                f"complete your copy, or set {key}.partial to true"
            )
