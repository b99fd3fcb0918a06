"""What each benchmark is estimated to cost, on the embedded world and on the paper's data.

`franca eval run --dry-run` says more of a given model, set and machine: passes, time and storage.
"""

from typing import Final, NamedTuple


class Cost(NamedTuple):
    """Cost of a benchmark on one checkpoint.

    Attributes:
        embedded_seconds: of one processor core at scale `tiny`, vit_tiny, features included where
            no other benchmark has extracted them (`benchmarks/evaluation_suite.py`; docs/log.md).
        full: on the paper's data with a ViT-L on one H200; hours and minutes follow from operation
            counts, nobody has measured them.
    """

    embedded_seconds: float
    full: str


_TWENTY_MINUTES: Final = "1.33 M passes at 224 pixels, 20 min; shared by all benchmarks of CLS"
_DENSE: Final = "15 min on VOC, 40 min on ADE20K"
_PROBE3D: Final = "1 to 2 h on NYUv2, either head"
_LAST_BLOCK: Final = "seconds once dense features are there"

COSTS: Final[dict[str, Cost]] = {
    "knn": Cost(4.0, _TWENTY_MINUTES),
    "linear": Cost(6.5, "12.8 M passes at 224 pixels, 2 to 3 h"),
    "linear_cached": Cost(0.5, f"{_TWENTY_MINUTES}; then minutes"),
    "linear_pca": Cost(1.0, f"{_TWENTY_MINUTES}, shared with linear_cached; then minutes"),
    "logreg": Cost(1.0, "20 to 60 min for eleven sets"),
    "robustness": Cost(1.0, "150,000 passes at 224 pixels, minutes, with the heads of `linear`"),
    "retrieval": Cost(0.6, "11,500 images at three sizes, 5 to 10 min"),
    "in_context": Cost(4.7, _DENSE),
    "hummingbird": Cost(5.0, "58,000 passes at 518 pixels for VOC, five searches of minutes each"),
    "linear_segmentation": Cost(0.7, f"{_DENSE}, shared with in_context"),
    "linseg_mmseg518": Cost(6.3, "640,000 passes at 518 pixels, 2 to 4 h"),
    "linseg_mmseg518_ade20k": Cost(
        6.3, "640,000 passes at 518 pixels, 2 to 4 h; three scales on top"
    ),
    "linseg_neco100": Cost(4.0, "25 epochs at 448 pixels, 1 to 2 h"),
    "overclustering": Cost(1.0, "5 to 15 min, k-means on the processor"),
    "depth": Cost(0.2, _LAST_BLOCK),
    "normals": Cost(0.2, _LAST_BLOCK),
    "position": Cost(0.1, _LAST_BLOCK),
    "spatial_entropy": Cost(0.5, _LAST_BLOCK),
    "ood": Cost(1.0, f"{_TWENTY_MINUTES}; 10 min for the novel sets"),
    "keypoints": Cost(0.6, "nothing: the pairs are the embedded world's"),
    "spair": Cost(0.6, "20 min"),
    "tokencut": Cost(2.1, "VOC07+12: 15 min, then 45 min of one core"),
    "lost": Cost(0.7, "VOC07+12: 15 min, shared with TokenCut"),
    "video_segmentation": Cost(0.6, "10 min on DAVIS-2017"),
    "probe3d_depth": Cost(5.6, _PROBE3D),
    "probe3d_normals": Cost(4.8, _PROBE3D),
    "correspondence": Cost(0.9, "nothing: the views are the embedded world's"),
    "navi": Cost(0.9, "minutes"),
    "scannet": Cost(0.9, "3,000 views, minutes"),
    "feat2gs_lite": Cost(2.5, "nothing: the scenes are the embedded world's"),
}
