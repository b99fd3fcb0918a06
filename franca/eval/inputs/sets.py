"""The declared evaluation sets by name: where they lie and how their splits are opened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.datasets import FolderImages, LabelledImages
from franca.eval.inputs.boxes import BoxedImages
from franca.eval.inputs.geometry import GeometryImages
from franca.eval.inputs.layouts import open_labelled
from franca.eval.inputs.masks import MASK_LAYOUTS
from franca.eval.inputs.navi import NaviViews
from franca.eval.inputs.pairs import PairImages, open_pairs
from franca.eval.inputs.probe import AcceptedLabels
from franca.eval.inputs.rendered_views import RenderedViews
from franca.eval.inputs.retrieval import RetrievalImages, open_retrieval
from franca.eval.inputs.scannet import ScanNetPairs
from franca.eval.inputs.videos import VideoFrames
from franca.eval.inputs.views import Views
from franca.eval.masked import SegmentationImages
from franca.eval.store import FeatureStore, Space

_VIEWS: dict[str, Callable[..., Views]] = {
    "views": RenderedViews,
    "navi": NaviViews,
    "scannet": ScanNetPairs,
}


@runtime_checkable
class Digested(Protocol):
    """Images with a digest of everything that they and their labels are."""

    @property
    def digest(self) -> str:
        """SHA-256 of content, labels and selection."""


@dataclass(frozen=True)
class Prepared:
    """What a benchmark sees of a set; opening a set is cheap, its features come when asked for.

    Attributes:
        load: makes the benchmark's first argument, extracting what is not there yet.
        scored: what is scored; paired comparisons need the same images.
        images: how many go through the model.
        input_size: height and width of the model's input, of the middle one where they differ.
        space: how much the features take.
        learnt: by their roles, the images that are learnt from, searched or chosen on.
        address: what else the numbers depend on, or differently from other kinds of inputs.
    """

    load: Callable[[], Any]
    scored: tuple[Digested, ...]
    images: int
    input_size: tuple[int, int]
    space: Space
    learnt: Mapping[str, Digested] = field(default_factory=dict)
    address: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the scored images, of several sets one after the other."""
        return " ".join(each.digest for each in self.scored)

    @cached_property
    def inputs(self) -> Any:
        """The benchmark's first argument."""
        return self.load()


@dataclass(frozen=True, kw_only=True)
class EvaluationSets:
    """The sets that `params.yaml` declares, and the model whose features are wanted.

    Attributes:
        all: sets by name.
        scenes: the rendered world, which `{scenes}` in a root stands for.
        store: extracts features, each once.
    """

    all: Mapping[str, EvaluationSet]
    scenes: Path
    store: FeatureStore

    def declared(self, name: str) -> EvaluationSet:
        """Return a set's declaration.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in self.all:
            known = ", ".join(self.all) or "none"
            raise ValueError(
                f"evaluate.tasks names the set {name!r}, which evaluation_sets does not: {known}"
            )
        return self.all[name]

    def root(self, name: str) -> Path:
        """Return the folder of a set."""
        return Path(self.declared(name).root.format(scenes=self.scenes))

    def labelled(self, name: str, *, test: bool) -> LabelledImages:
        """Open a split of a classification set, or the images of a novel one."""
        declared = self.declared(name)
        split, limit = _split(declared, test=test)
        self._check_count(name, split, declared.num_test if test else declared.num_train)
        return open_labelled(declared.format, self.root(name), split=split, limit=limit)

    def classified(self, name: str) -> tuple[LabelledImages, LabelledImages]:
        """Open train and test of a classification set.

        Raises:
            ValueError: it has one class, of which nothing can be learnt.
        """
        train, test = (self.labelled(name, test=flag) for flag in (False, True))
        if len(train.names) < 2:
            raise ValueError(
                f"evaluation_sets.{name}: {self.root(name)} has one class, {train.names[0]!r}: "
                "classification needs two, correct its root or complete the copy"
            )
        return train, test

    def validation(self, name: str) -> LabelledImages | None:
        """Open the split that hyper-parameters are chosen on, if the set has one."""
        declared = self.declared(name)
        if declared.val_split is None:
            return None
        return open_labelled(
            declared.format, self.root(name), split=declared.val_split, limit=declared.max_train
        )

    def shifted(self, name: str) -> LabelledImages | AcceptedLabels:
        """Open the scored images of a shifted set."""
        found, accepted = self.labelled(name, test=True), self.declared(name).accepted_labels
        if accepted is None or not isinstance(found, FolderImages):
            return found
        return AcceptedLabels(found, Path(accepted.format(scenes=self.scenes)))

    def retrieved(self, name: str) -> RetrievalImages:
        """Open a retrieval set."""
        split, limit = _split(self.declared(name), test=True)
        return open_retrieval(self.declared(name).format, self.root(name), split=split, limit=limit)

    def _check_count(self, name: str, split: str, wanted: int | None) -> None:
        """Refuse a split that lacks images: a score over other images is another number."""
        if wanted is None:
            return
        declared = self.declared(name)
        every = open_labelled(declared.format, self.root(name), split=split, limit=None)
        if len(every) != wanted:
            raise ValueError(self._incomplete(name, split, len(every), wanted))

    def _incomplete(self, name: str, split: str, found: int, wanted: int) -> str:
        return (
            f"evaluation_sets.{name}: {self.root(name)}, split {split!r}, has {found} "
            f"images and not the {wanted} declared: complete the copy"
        )

    def segmented(self, name: str, *, test: bool) -> SegmentationImages:
        """Open a split of a segmentation set."""
        declared = self.declared(name)
        split, limit = _split(declared, test=test)
        found = SegmentationImages(
            self.root(name),
            split=split,
            limit=limit,
            layout=MASK_LAYOUTS[declared.format],
            num_classes=declared.num_classes,
            ignore_index=declared.ignore_index,
        )
        wanted = declared.num_test if test else declared.num_train
        if wanted is not None and found.of_split != wanted:
            raise ValueError(self._incomplete(name, split, found.of_split, wanted))
        return found

    def boxed(self, name: str) -> BoxedImages:
        """Open the scored split of a set whose objects have boxes or masks."""
        declared = self.declared(name)
        split, limit = _split(declared, test=True)
        detection = declared.kind == "detection"
        return BoxedImages(self.root(name), split=split, detection=detection, limit=limit)

    def with_geometry(self, name: str, *, test: bool) -> GeometryImages:
        """Open a split of a set with depth."""
        split, limit = _split(self.declared(name), test=test)
        return GeometryImages(self.root(name), split=split, limit=limit)

    def videos(self, name: str) -> VideoFrames:
        """Open the scored split of a video set."""
        split, limit = _split(self.declared(name), test=True)
        return VideoFrames(self.root(name), split=split, limit=limit)

    def views(self, name: str) -> Views:
        """Open the scored views of a set."""
        declared = self.declared(name)
        split, limit = _split(declared, test=True)
        return _VIEWS[declared.format](self.root(name), split=split, limit=limit)

    def paired(self, name: str) -> PairImages:
        """Open the scored pairs of a set."""
        split, limit = _split(self.declared(name), test=True)
        return open_pairs(self.declared(name).format, self.root(name), split=split, limit=limit)


def _split(declared: EvaluationSet, *, test: bool) -> tuple[str, int | None]:
    if test:
        return declared.test_split, declared.max_test
    return declared.train_split or "", declared.max_train
