"""Data sets to evaluate on, wherever they lie; all of them are removed from the training data."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from franca.config.base import Section

FineGrained = Literal[
    "food101", "cifar10", "cifar100", "sun397", "cars", "aircraft", "dtd", "pets", "caltech101",
    "flowers102", "cub200",
]  # fmt: skip
Masked = Literal["voc", "ade20k", "ade20k_other", "cityscapes", "coco_stuff", "coco_things"]


class EvaluationSet(Section):
    """One data set on disk; nothing is ever downloaded or redistributed."""

    kind: Literal[
        "classification",
        "segmentation",
        "novel",
        "shifted",
        "detection",
        "video",
        "pairs",
        "retrieval",
        "geometry",
        "views",
    ] = Field(
        description="what it is labelled with; novel: images of none of the known classes; "
        "shifted: unlike images of known classes"
    )
    format: (
        FineGrained
        | Masked
        | Literal[
            "parquet",
            "folder",
            "openood",
            "voc_detection",
            "davis",
            "pairs",
            "spair",
            "views",
            "navi",
            "scannet",
            "revisited",
        ]
    ) = Field(
        description="layout: Hugging Face parquet, <split>/<class>/<image> folders, that of the "
        "set's authors, OpenOOD's lists, PASCAL VOC with masks, geometry or boxes, ADE20K with its "
        "150 classes or (ade20k_other) a 151st for the rest, the supercategories of COCO, DAVIS "
        "2017, the rendered pairs, SPair-71k, the rendered views, NAVI, ScanNet's test pairs, or "
        "revisited Oxford and Paris"
    )
    root: str = Field(
        min_length=1,
        description="local folder; relative to the project, and {scenes} stands for the rendered "
        "world; `franca data fetch URL --to FOLDER` copies one from elsewhere",
    )
    train_split: str | None = Field(
        default=None, description="name of the split to learn from; null if none"
    )
    val_split: str | None = Field(
        default=None,
        description="name of the split that penalties are chosen on; null: a tenth of train; for a "
        "novel set, that detectors' settings are chosen on; null: none are",
    )
    test_split: str = Field(description="name of the split that is scored")
    num_train: int | None = Field(
        default=None, ge=1, description="images that the whole training split must have; null: any"
    )
    num_test: int | None = Field(
        default=None, ge=1, description="images that the whole scored split must have; null: any"
    )
    max_train: int | None = Field(
        default=None,
        ge=1,
        description="learn from at most so many images, always the same; null: all",
    )
    max_test: int | None = Field(
        default=None, ge=1, description="score at most so many images; null: all"
    )
    num_classes: int | None = Field(
        default=None,
        ge=2,
        le=255,
        description="classes of a segmentation set, background included; else null",
    )
    ignore_index: int | None = Field(
        default=None,
        ge=0,
        le=255,
        description="class of void pixels of a segmentation set; else null",
    )
    known_set: str | None = Field(
        default=None,
        description="for a novel or shifted set: the classification set whose classes are known",
    )
    accepted_labels: str | None = Field(
        default=None,
        description="for a shifted set with several right classes an image: JSON file with a "
        "list of them for each, in the order of the files' names (ImageNet-ReaL)",
    )
    group: Literal["near", "far"] | None = Field(
        default=None,
        description="for a novel set: how like the known classes its own are; else null",
    )
    licence: str = Field(min_length=1, description="licence or terms under which it may be used")

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> "EvaluationSet":
        if "://" in self.root:
            raise ValueError(
                f"root {self.root!r} is no local folder: copy it with "
                f"`franca data fetch {self.root} --to FOLDER` and set root to that"
            )
        formats = {
            "classification": {"parquet", "folder", *get_args(FineGrained)},
            "novel": {"parquet", "folder", "openood"},
            "shifted": {"parquet", "folder"},
            "retrieval": {"revisited", "pairs"},
            "segmentation": set(get_args(Masked)),
            "detection": {"voc_detection"},
            "video": {"davis"},
            "pairs": {"pairs", "spair"},
            "geometry": {"voc"},
            "views": {"views", "navi", "scannet"},
        }[self.kind]
        if self.format not in formats:
            raise ValueError(
                f"format {self.format!r} cannot hold a {self.kind} set: use {sorted(formats)}"
            )
        needed = {
            "classification": ("train_split",),
            "segmentation": ("train_split", "num_classes", "ignore_index"),
            "novel": ("known_set", "group"),
            "shifted": ("known_set",),
            "geometry": ("train_split",),
        }.get(self.kind, ())
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"a {self.kind} set needs {name}: set it")
        if self.accepted_labels is not None and (self.kind, self.format) != ("shifted", "folder"):
            raise ValueError("accepted_labels go with a shifted set in folders: remove them")
        return self
