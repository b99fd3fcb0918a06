"""What benchmarks see that read images on-line or look for one image among others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from franca.eval.benchmark import ImageFeatures
from franca.eval.transforms import RandomCrop

Stream = Callable[[Sequence[Int[Tensor, " _"]], RandomCrop | None], Iterator[ImageFeatures]]
Keep = Callable[[Mapping[str, Any], Callable[[], dict[str, Tensor]]], dict[str, Tensor]]


@dataclass(frozen=True)
class ProbeInputs:
    """What the linear probe and the robustness of its heads see.

    Attributes:
        labels: class of each training image.
        num_classes: labels are below it.
        stream: features of batches of training images, of random crops or, without, centre crops.
        keep: returns what a function makes, made once for these images, this model and settings.
        validation: images on which a head may be chosen.
        test: what is scored; its labels are classes of its own.
        columns: the known class that each class of `test` is.
        accepted: for images with several right classes, which known ones are; else None.
    """

    labels: Int[Tensor, " images"]
    num_classes: int
    stream: Stream
    keep: Keep
    validation: ImageFeatures
    test: ImageFeatures
    columns: Int[Tensor, " classes"]
    accepted: Bool[Tensor, "scored known"] | None


@dataclass(frozen=True)
class Relevant:
    """Rows of the database that show what a query shows; `junk` hardly does."""

    easy: Sequence[int]
    hard: Sequence[int]
    junk: Sequence[int]


@dataclass(frozen=True)
class RetrievalInputs:
    """What image retrieval sees.

    Attributes:
        queries: one descriptor an image.
        database: likewise.
        relevant: for each query, rows of the database by how hard they are to find.
    """

    queries: Float[Tensor, "queries dim"]
    database: Float[Tensor, "images dim"]
    relevant: Sequence[Relevant]
