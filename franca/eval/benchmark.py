"""The contract of a benchmark: features and labels in, per-image evidence out.

A benchmark is a pure function. It sees no model, file or global random state; it returns, for every
test image, the evidence from which all its metrics follow (right or wrong, a confusion matrix, an
error). Values, confidence intervals and paired comparisons are then computed in one way for all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from franca.eval import resampling
from franca.eval.crops import Picture
from franca.eval.detection import delong_interval
from franca.eval.features import StreamedPatches
from franca.eval.results import Direction, Metric
from franca.randomness import numpy_generator

Kind = Literal[
    "classification",
    "fine_grained",
    "probe",
    "shifted",
    "retrieval",
    "segmentation",
    "novelty",
    "pictures",
    "pairs",
    "raw_pairs",
    "discovery",
    "video",
    "geometry",
    "view_pairs",
    "scenes",
]
CLASSES: Final = {"predicted": "[images] class"}
MASKS: Final = {"predicted": "[height, width] of each scored image: class of each pixel"}
Encoder = Callable[
    [Float[Tensor, "batch 3 height width"], UInt8[Tensor, "batch height width"]],
    Float[Tensor, "batch dim rows columns"],
]
IntervalMethod = Literal["wilson", "percentile", "normal", "stratified", "delong"]


@dataclass(frozen=True)
class ImageFeatures:
    """One split of a classification set.

    Attributes:
        cls_blocks: CLS token of the last blocks, first to last, each after the final LayerNorm.
        mean_patch: mean of the last block's patch tokens after the final LayerNorm.
        labels: class of each image.
    """

    cls_blocks: Float[Tensor, "images blocks dim"]
    mean_patch: Float[Tensor, "images dim"]
    labels: Int[Tensor, " images"]

    @property
    def cls(self) -> Float[Tensor, "images dim"]:
        """The CLS token of the last block."""
        return self.cls_blocks[:, -1]


@dataclass(frozen=True)
class ClassificationInputs:
    """What classification benchmarks see.

    Attributes:
        train: what is learnt from.
        test: what is scored.
        num_classes: labels are below it.
        validation: what hyper-parameters are chosen on; None where the set has no such split.
    """

    train: ImageFeatures
    test: ImageFeatures
    num_classes: int
    validation: ImageFeatures | None = None


@dataclass(frozen=True)
class DenseFeatures:
    """One split of a segmentation set, with geometry where the set has it.

    Attributes:
        patches: patch tokens after the final LayerNorm, row-major; computed whenever they are read
            where they are too many to store.
        grid: rows and columns of the patch grid.
        masks: classes of the pixels, resized to the input size.
        depth: mean depth of each patch in metres, NaN where nothing is valid; None without depth.
        normals: unit surface normal of each patch in the camera frame, NaN where nothing is valid.
    """

    patches: Float[Tensor, "images patches dim"] | StreamedPatches
    grid: tuple[int, int]
    masks: UInt8[Tensor, "images height width"]
    depth: Float[Tensor, "images patches"] | None
    normals: Float[Tensor, "images patches 3"] | None


@dataclass(frozen=True)
class SegmentationInputs:
    """What dense benchmarks see."""

    train: DenseFeatures
    test: DenseFeatures
    num_classes: int
    ignore_index: int


@dataclass(frozen=True)
class PictureInputs:
    """What segmentation benchmarks that augment see: images with masks, and the frozen model.

    Attributes:
        train: images and masks as stored, read when asked for.
        test: likewise.
        encode: from normalised images and the classes of their pixels to maps of patch tokens,
            [batch, dim, rows, columns]; a model looks at the images, the ground truth at classes.
        dim: width of a token.
        patch_size: pixels of a side of a patch.
        num_classes: background included.
        ignore_index: the class of void pixels.
        num_workers: processes that read and augment.
    """

    train: Sequence[Picture]
    test: Sequence[Picture]
    encode: Encoder
    dim: int
    patch_size: int
    num_classes: int
    ignore_index: int
    num_workers: int


@dataclass(frozen=True)
class NovelImages:
    """A set of images of none of the known classes.

    Attributes:
        name: of the set.
        group: how like the known classes its own are.
        cls: CLS tokens.
    """

    name: str
    group: Literal["near", "far"]
    cls: Float[Tensor, "images dim"]


@dataclass(frozen=True)
class NoveltyInputs:
    """What out-of-distribution benchmarks see: known classes, and sets of images of no such.

    Attributes:
        known: classes that are learnt, and test images of theirs.
        novel: what is told apart from those.
        validation: CLS tokens of novel images on which settings are chosen; None where no set has
            such a part.
    """

    known: ClassificationInputs
    novel: tuple[NovelImages, ...]
    validation: Float[Tensor, "images dim"] | None = None


@dataclass(frozen=True)
class Outcome:
    """What a benchmark returns.

    Attributes:
        evidence: name -> [images, ...]; a variant follows an @ ("correct@k10").
        predictions: likewise what was predicted of each image, for whoever looks at single ones; no
            metric reads it. Where images differ in size each has its own, "predicted/000012".
        details: what was chosen on the way (a penalty, a learning rate), for the record.
    """

    evidence: Mapping[str, NDArray[Any]]
    predictions: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricSpec:
    """How a metric follows from evidence of one name."""

    name: str
    direction: Direction
    unit: str
    evidence: str
    statistic: resampling.Statistic
    interval: IntervalMethod

    def strata(self, evidence: NDArray[Any]) -> NDArray[Any]:
        """Return the group of each image that resampling keeps the size of, [images]."""
        if self.interval in {"stratified", "delong"}:
            return evidence[:, 0]
        return np.zeros(len(evidence))


def by_number(name: str, arrays: Iterable[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return predictions of images that differ in size by the numbers of the images."""
    return {f"{name}/{number:06d}": array for number, array in enumerate(arrays)}


def share(
    name: str,
    evidence: str,
    statistic: resampling.Statistic,
    interval: IntervalMethod = "percentile",
) -> MetricSpec:
    """Return how a share follows from evidence: higher is better."""
    return MetricSpec(name, "higher", "fraction", evidence, statistic, interval)


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark.

    Attributes:
        name: registered name.
        version: rises with any change of a number.
        protocol: one line that says what is done.
        source: the code or paper that defines it.
        kind: which inputs it takes.
        quick: cheap enough to follow training with.
        metrics: what is reported.
        run: the pure function `(inputs, *, seed, device, **parameters) -> Outcome`.
        predictions: what the outcome's are: name without variant or number -> shape and meaning.
        section: whose parameters it takes; by default those of its own name.
        streamed: from its parameters, how many images run through the model and are not kept.
    """

    name: str
    version: str
    protocol: str
    source: str
    kind: Kind
    quick: bool
    metrics: tuple[MetricSpec, ...]
    run: Callable[..., Outcome]
    predictions: Mapping[str, str] = field(default_factory=dict)
    section: str = ""
    streamed: Callable[[Mapping[str, Any]], int] = lambda _: 0

    @property
    def parameters_section(self) -> str:
        """Name of the section of its parameters."""
        return self.section or self.name

    def spec(self, metric: str) -> MetricSpec:
        """Return the specification of a metric, whatever its variant."""
        return next(spec for spec in self.metrics if spec.name == metric.partition("@")[0])

    def measure(
        self, evidence: Mapping[str, NDArray[Any]], *, dataset: str, resamples: int, seed: int
    ) -> list[Metric]:
        """Turn evidence into metrics with 95 % intervals over images."""
        metrics = []
        for spec in self.metrics:
            for key, values in evidence.items():
                base, separator, variant = key.partition("@")
                if base != spec.evidence:
                    continue
                value, ci95 = _estimate(spec, values, resamples=resamples, seed=seed)
                metrics.append(
                    Metric(
                        benchmark=self.name,
                        dataset=dataset,
                        metric=spec.name + separator + variant,
                        value=value,
                        ci95=ci95,
                        n=len(values),
                        direction=spec.direction,
                        protocol=self.protocol,
                        version=self.version,
                        unit=spec.unit,
                    )
                )
        return metrics


def evidence_key(spec: MetricSpec, metric: str) -> str:
    """Return the name of the evidence behind a metric: "top1@k10" -> "correct@k10"."""
    _, separator, variant = metric.partition("@")
    return spec.evidence + separator + variant


def _estimate(
    spec: MetricSpec, values: NDArray[Any], *, resamples: int, seed: int
) -> tuple[float, resampling.Interval]:
    value = resampling.point_estimate(spec.statistic, values)
    if spec.interval == "wilson":
        return value, resampling.wilson_interval(int(np.sum(values)), len(values))
    if spec.interval == "delong":
        return value, delong_interval(values)
    draws = resampling.bootstrap(
        spec.statistic,
        values,
        resamples=resamples,
        generator=numpy_generator(seed, "evaluate/bootstrap"),
        strata=spec.strata(values),
    )
    if spec.interval == "normal":
        return value, resampling.normal_interval(value, draws)
    return value, resampling.percentile_interval(draws)
