"""Data sets to evaluate on, wherever they lie; all of them are removed from the training data."""

from typing import Literal

from pydantic import Field, model_validator

from franca.config.base import Section


class EvaluationSet(Section):
    """One data set on disk; nothing is ever downloaded or redistributed."""

    kind: Literal[
        "classification",
        "segmentation",
        "novel",
        "detection",
        "video",
        "pairs",
        "geometry",
        "views",
    ] = Field(description="what it is labelled with; novel: images of none of the known classes")
    format: Literal[
        "parquet",
        "folder",
        "openood",
        "voc",
        "voc_detection",
        "davis",
        "pairs",
        "spair",
        "views",
        "navi",
        "scannet",
    ] = Field(
        description="layout: Hugging Face parquet, <split>/<class>/<image> folders, OpenOOD's "
        "lists, PASCAL VOC with masks, geometry or boxes, DAVIS 2017, the rendered pairs, "
        "SPair-71k, the rendered views, NAVI, or ScanNet's test pairs"
    )
    root: str = Field(
        min_length=1,
        description="folder; relative to the project, and {scenes} stands for the rendered world",
    )
    train_split: str | None = Field(
        default=None, description="name of the split to learn from; null if none"
    )
    test_split: str = Field(description="name of the split that is scored")
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
        description="for a novel set: the classification set whose classes are known; else null",
    )
    group: Literal["near", "far"] | None = Field(
        default=None,
        description="for a novel set: how like the known classes its own are; else null",
    )
    licence: str = Field(min_length=1, description="licence or terms under which it may be used")

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> "EvaluationSet":
        formats = {
            "classification": {"parquet", "folder"},
            "novel": {"parquet", "folder", "openood"},
            "segmentation": {"voc"},
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
            "geometry": ("train_split",),
        }.get(self.kind, ())
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"a {self.kind} set needs {name}: set it")
        return self
