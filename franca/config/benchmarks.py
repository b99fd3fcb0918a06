"""Parameters of each benchmark: its protocol in numbers."""

from typing import Literal

from pydantic import Field, model_validator

from franca.config.base import Section


class Knn(Section):
    """k nearest neighbours of the CLS token."""

    neighbours: tuple[int, ...] = Field(min_length=1, description="numbers of neighbours")
    headline: int = Field(ge=1, description="neighbours of the truncated variants")
    temperature: float = Field(gt=0, description="of the softmax-weighted vote")
    halvings: int = Field(ge=0, description="also use the first d/2 … d/2^halvings dimensions")
    pca_dims: tuple[int, ...] = Field(description="also use so many principal components")
    shots: tuple[int, ...] = Field(description="also learn from so few images of each class")
    attempts: int = Field(ge=1, description="draws of the few images, averaged")
    leave_one_out: bool = Field(description="also classify each training image by the others")
    block: int = Field(ge=1, description="rows compared at a time; changes no result")

    @model_validator(mode="after")
    def _headline_is_reported(self) -> "Knn":
        if self.headline not in self.neighbours:
            raise ValueError(
                f"headline {self.headline} is not among neighbours {self.neighbours}: add it"
            )
        return self


class LinearCached(Section):
    """Linear heads on cached features."""

    blocks: tuple[int, ...] = Field(min_length=1, description="numbers of last blocks concatenated")
    learning_rates: tuple[float, ...] = Field(
        min_length=1, description="for a batch of 256; one head each"
    )
    steps: int = Field(ge=1, description="of SGD")
    batch_size: int = Field(ge=1, description="images per step")
    momentum: float = Field(ge=0, lt=1, description="of SGD")
    held_out: float = Field(
        ge=0,
        le=0.5,
        description="share of train on which the head is chosen; 0 chooses on the scored images, "
        "as the official code does",
    )


class LinearPca(LinearCached):
    """Linear heads on few principal components."""

    pca_dims: tuple[int, ...] = Field(
        min_length=1, description="numbers of components; those beyond the features are left out"
    )


class Linear(LinearCached):
    """Linear heads on features of random crops, also those of `robustness`."""

    crop_scale: tuple[float, float] | None = Field(
        description="least and greatest share of the image in a crop; null: the centre crop"
    )
    flip: float = Field(ge=0, le=1, description="probability to mirror a crop")


class Retrieval(Section):
    """Image retrieval by the CLS token."""

    precisions: tuple[int, ...] = Field(
        min_length=1, description="numbers of best images looked at"
    )
    block: int = Field(ge=1, description="rows compared at a time; changes no result")


class Logreg(Section):
    """Logistic regression on the CLS token."""

    inverse_penalties: tuple[float, ...] = Field(
        min_length=1, description="values of C; the first wins ties (official: 45 from 1e-6 to 1e5)"
    )
    max_iterations: int = Field(ge=1, description="of lbfgs")
    tolerance: float = Field(gt=0, description="of lbfgs, on the gradient")
    standardised: bool = Field(description="also report the variant on standardised features")


class InContext(Section):
    """Segmentation by patch retrieval."""

    neighbours: int = Field(ge=1, description="patches retrieved for each patch")
    temperature: float = Field(gt=0, description="of their weights (beta of Hummingbird)")
    memory_size: int | None = Field(ge=1, description="patches in the memory; null keeps all")
    block: int = Field(ge=1, description="rows compared at a time; changes no result")


class Hummingbird(InContext):
    """The same from augmented crops, several times over."""

    side: int = Field(ge=1, description="pixels of a side of crops and test images")
    scale: tuple[float, float] = Field(
        description="share of the image's area that a crop is cut from; above 1 is drawn again"
    )
    jitter: float = Field(ge=0, le=0.5, description="greatest change of the colours")
    memories: int = Field(ge=1, description="filled anew, and averaged over")
    batch_size: int = Field(ge=1, description="images at a time; changes no result")


class LinearSegmentation(Section):
    """Batch norm and a linear layer on cached patch tokens."""

    steps: int = Field(ge=1, description="of SGD")
    batch_size: int = Field(ge=1, description="images per step")
    learning_rate: float = Field(gt=0, description="at the first step; falls to 0 along a line")
    momentum: float = Field(ge=0, lt=1, description="of SGD")


class LinsegMmseg518(Section):
    """Batch norm and a linear layer on augmented crops, as mmsegmentation trains and tests it."""

    long_side: int = Field(ge=1, description="pixels that the longer side may have at ratio 1")
    short_side: int = Field(ge=1, description="likewise, the shorter one")
    ratios: tuple[float, float] = Field(description="factor of both in training, drawn from here")
    crop: int = Field(ge=1, description="side of crops and of test windows in pixels")
    largest_share: float = Field(gt=0, le=1, description="of one class in a crop; else cut anew")
    steps: int = Field(ge=1, description="of training")
    max_epochs: int = Field(ge=1, description="stop earlier after so many passes")
    batch_size: int = Field(ge=1, description="crops per step")
    optimizer: Literal["sgd", "adamw"] = Field(description="SGD for VOC, AdamW for ADE20K")
    learning_rate: float = Field(gt=0, description="falls to 0 along a line after the warm-up")
    momentum: float = Field(ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(ge=0, description="of the optimiser")
    warmup_steps: int = Field(ge=0, description="of the learning rate")
    warmup_ratio: float = Field(gt=0, le=1, description="its share at the first step")
    stride: int = Field(ge=1, description="pixels between test windows")
    scales: tuple[float, ...] = Field(min_length=1, description="at which test images are seen")
    flip: bool = Field(description="whether test images are also seen mirrored")


class LinsegNeco100(Section):
    """A linear layer on augmented square crops, scored on small masks."""

    side: int = Field(ge=1, description="pixels of a side of a crop")
    mask_side: int = Field(ge=1, description="pixels of a side of the masks of loss and score")
    scale: tuple[float, float] = Field(
        description="share of the image's area that a crop is cut from"
    )
    epochs: int = Field(ge=1, description="passes over the training images")
    drop_epoch: int = Field(ge=1, description="epochs after which the learning rate drops")
    drop_factor: float = Field(gt=0, le=1, description="what it is multiplied by")
    batch_size: int = Field(ge=1, description="crops per step")
    learning_rate: float = Field(gt=0, description="of SGD")
    momentum: float = Field(ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(ge=0, description="of SGD")
    validate_every: int = Field(ge=1, description="steps between scores, of which the best counts")


class KMeans(Section):
    """k-means on patch tokens."""

    iterations: int = Field(ge=1, description="of Lloyd")
    restarts: int = Field(ge=1, description="starts, of which the best is kept")
    points_per_cluster: int = Field(ge=1, description="train on at most so many (faiss: 256)")


class Overclustering(KMeans):
    """Clusters of patch tokens as a segmentation."""

    clusters: tuple[int, ...] = Field(
        min_length=1, description="numbers of clusters; 0 stands for the number of classes"
    )
    runs: int = Field(ge=1, description="runs with different seeds, averaged")
    pca_dims: int | None = Field(ge=1, description="principal components kept; null keeps all")
    side: int = Field(ge=1, description="pixels of the maps that are compared")


class Ridge(Section):
    """A ridge probe on patch tokens."""

    penalties: tuple[float, ...] = Field(
        min_length=1,
        description="relative to the mean feature variance; chosen on every 10th image",
    )


class ProbeRecipe(Section):
    """How a probe of geometry is trained, and with which heads."""

    steps: int = Field(ge=1, description="of AdamW")
    batch_size: int = Field(ge=1, description="images per step")
    learning_rate: float = Field(gt=0, description="at its peak; a hundredth of it at both ends")
    weight_decay: float = Field(ge=0, description="of AdamW")
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises")
    width: int = Field(ge=1, description="channels within the DPT head")


class GeometryProbe(Section):
    """Trained heads on the tokens of four blocks."""

    heads: tuple[Literal["dpt", "linear"], ...] = Field(
        min_length=1, description="which to train; the first is the headline"
    )
    recipe: ProbeRecipe


class DepthProbe(GeometryProbe):
    """Trained heads that choose between depths."""

    bins: int = Field(ge=2, description="depths between which a head chooses")
    farthest: float = Field(gt=0, description="metres of the last one; beyond it is unknown")


class Correspondence(Section):
    """Dense matches between views."""

    scale: float = Field(gt=0, le=1, description="of the grid of points against the image")
    matches: int = Field(ge=1, description="kept of each pair, the surest")
    metres: tuple[float, ...] = Field(description="distances in space within which one is right")
    pixels: tuple[float, ...] = Field(description="distances in the second image")
    pixels_of_grid: bool = Field(description="those are in pixels of the grid, not of the image")
    bins: tuple[float, ...] = Field(description="degrees between views, ascending")
    bin_unit: Literal["m", "px"] = Field(description="which distance counts in the bins")
    bin_threshold: float = Field(gt=0, description="within which a match is right there")

    @model_validator(mode="after")
    def _bins_are_of_a_reported_threshold(self) -> "Correspondence":
        reported = self.metres if self.bin_unit == "m" else self.pixels
        if self.bin_threshold not in reported:
            raise ValueError(
                f"bin_threshold {self.bin_threshold} is not among the thresholds in "
                f"{self.bin_unit}, {reported}: add it"
            )
        return self


class Feat2Gs(Section):
    """Views from new sides, read off the features of others."""

    dims: int = Field(ge=1, description="principal components of a scene's features kept")
    penalty: float = Field(gt=0, description="of the ridge read-out, relative to the variance")
    radius: float = Field(gt=0, description="standard deviation of a splat, pixels it was read at")
    margin: float = Field(gt=0, description="metres of depth within which splats of a pixel blend")


class Position(Section):
    """The least-squares probe of position has nothing to set."""


class SpatialEntropy(KMeans):
    """Where clusters live."""

    clusters: int = Field(ge=2, description="number of clusters")


class Ood(Section):
    """Detectors of novel images."""

    neighbours: tuple[int, ...] = Field(min_length=1, description="ranks of the kNN detector")
    guide_neighbours: int = Field(ge=1, description="neighbours of NNGuide")
    principal_dims: tuple[int, ...] = Field(description="sizes of ViM's principal subspace")
    validation_share: float = Field(
        gt=0,
        lt=1,
        description="of the known test images, which choose among the two above with a novel set's "
        "val_split, and are then not scored; without such a split all are scored",
    )
    inverse_penalty: float = Field(gt=0, description="C of the classifier behind the detectors")
    max_iterations: int = Field(ge=1, description="of its lbfgs")
    tolerance: float = Field(gt=0, description="of its lbfgs")


class TokenCut(Section):
    """One box an image, from a normalised cut of its keys."""

    threshold: float = Field(gt=-1, lt=1, description="cosine above which patches are alike (tau)")


class Lost(Section):
    """One box an image, grown from the key that fewest are like."""

    similar: int = Field(
        ge=1, description="patches looked at (100 in the reference, whatever the grid)"
    )


class VideoSegmentation(Section):
    """Labels of patches carried through a video."""

    context: int = Field(ge=0, description="previous frames beside the first one")
    radius: int = Field(ge=0, description="rows and columns a label may move; 0: any")
    neighbours: int = Field(ge=1, description="patches that each patch takes its label from")
    temperature: float = Field(gt=0, description="of their weights")


class Keypoints(Section):
    """Keypoints of one image found in another."""

    thresholds: tuple[float, ...] = Field(
        min_length=1,
        description="distances in longer sides of the object's box; the first is the headline",
    )
