"""Parameters of the evaluation: what to run on which set, and how features are extracted."""

from typing import Literal

from pydantic import Field, model_validator

from franca.config.base import Section
from franca.config.benchmarks import (
    Correspondence,
    DepthProbe,
    Feat2Gs,
    GeometryProbe,
    Hummingbird,
    InContext,
    Keypoints,
    Knn,
    Linear,
    LinearCached,
    LinearPca,
    LinearSegmentation,
    LinsegMmseg518,
    LinsegNeco100,
    Logreg,
    Lost,
    Ood,
    Overclustering,
    Position,
    Retrieval,
    Ridge,
    SpatialEntropy,
    TokenCut,
    VideoSegmentation,
)

BenchmarkName = Literal[
    "knn",
    "linear",
    "linear_cached",
    "linear_pca",
    "logreg",
    "robustness",
    "retrieval",
    "in_context",
    "hummingbird",
    "linear_segmentation",
    "linseg_mmseg518",
    "linseg_mmseg518_ade20k",
    "linseg_neco100",
    "overclustering",
    "depth",
    "normals",
    "position",
    "spatial_entropy",
    "ood",
    "keypoints",
    "spair",
    "tokencut",
    "lost",
    "video_segmentation",
    "probe3d_depth",
    "probe3d_normals",
    "correspondence",
    "navi",
    "scannet",
    "feat2gs_lite",
]


class Task(Section):
    """One benchmark on one set."""

    benchmark: BenchmarkName = Field(description="name in franca/eval/registry.py")
    evaluation_set: str = Field(description="key of evaluation_sets")


class Evaluate(Section):
    """The stage evaluate."""

    device: Literal["auto", "cpu", "cuda"] = Field(description="auto: a GPU if there is one")
    batch_size: int = Field(ge=1, description="images per forward pass")
    num_workers: int = Field(ge=0, description="decoding processes; 0 decodes in the main one")
    resize: int = Field(ge=1, description="short side before the centre crop, classification")
    crop_size: int = Field(ge=1, description="side of the centre crop, classification")
    dense_size: int = Field(ge=1, description="side of the square that dense sets are resized to")
    frame_side: int | None = Field(
        ge=1, description="short side of video frames; null keeps the frames' own"
    )
    pair_size: int = Field(ge=1, description="side that images of pairs are resized to")
    retrieval_sizes: tuple[int, ...] = Field(
        min_length=1, description="sides of the squares whose CLS tokens retrieval averages"
    )
    patch_dtype: Literal["float16", "float32"] = Field(description="how patch tokens are stored")
    max_feature_gigabytes: float | None = Field(
        gt=0,
        description="of patch tokens or keys of a split; more than that is computed whenever it is "
        "read, not stored; null stores all",
    )
    resamples: int = Field(ge=2, description="bootstrap draws behind each interval")
    num_samples: int = Field(ge=0, description="images whose patch tokens the report gets")
    tasks: tuple[Task, ...] = Field(description="what to run, in order")
    knn: Knn
    linear: Linear
    linear_cached: LinearCached
    linear_pca: LinearPca
    logreg: Logreg
    retrieval: Retrieval
    in_context: InContext
    hummingbird: Hummingbird
    linear_segmentation: LinearSegmentation
    linseg_mmseg518: LinsegMmseg518
    linseg_mmseg518_ade20k: LinsegMmseg518
    linseg_neco100: LinsegNeco100
    overclustering: Overclustering
    depth: Ridge
    normals: Ridge
    position: Position
    spatial_entropy: SpatialEntropy
    ood: Ood
    keypoints: Keypoints
    spair: Keypoints
    tokencut: TokenCut
    lost: Lost
    video_segmentation: VideoSegmentation
    probe3d_depth: DepthProbe
    probe3d_normals: GeometryProbe
    correspondence: Correspondence
    navi: Correspondence
    scannet: Correspondence
    feat2gs_lite: Feat2Gs

    @model_validator(mode="after")
    def _consistent(self) -> "Evaluate":
        if self.crop_size > self.resize:
            raise ValueError(
                f"crop_size {self.crop_size} exceeds resize {self.resize}: raise resize"
            )
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks names a benchmark twice on the same set: remove one")
        return self
