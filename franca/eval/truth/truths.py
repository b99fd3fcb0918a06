"""Features that are the ground truth itself: with them a benchmark must reach its upper bound.

What a benchmark reaches on perfect features says how high its scale goes: patches are coarser than
pixels, a search averages over neighbours. And a benchmark that does not tell perfect features from
those of a random network measures nothing.
"""

from collections.abc import Callable
from typing import Any

from franca.eval.truth import dense, geometry, images, objects

TRUTHS: dict[str, Callable[[Any], Any]] = {
    "knn": images.image_classes,
    "linear": images.probe_classes,
    "linear_cached": images.image_classes,
    "linear_pca": images.image_classes,
    "robustness": images.probe_classes,
    "retrieval": images.retrieved_queries,
    "logreg": images.image_classes,
    "ood": images.novelty,
    "in_context": dense.patch_classes,
    "hummingbird": dense.pixel_classes,
    "linear_segmentation": dense.patch_classes,
    "linseg_mmseg518": dense.pixel_classes,
    "linseg_mmseg518_ade20k": dense.pixel_classes,
    "linseg_neco100": dense.pixel_classes,
    "overclustering": dense.patch_classes,
    "depth": dense.patch_depth,
    "normals": dense.patch_normals,
    "position": dense.patch_places,
    "spatial_entropy": dense.patch_places,
    "keypoints": objects.point_places,
    "spair": objects.point_places,
    "tokencut": objects.object_keys,
    "lost": objects.object_keys,
    "video_segmentation": objects.object_patches,
    "probe3d_depth": geometry.layer_depth,
    "probe3d_normals": geometry.layer_normals,
    "correspondence": geometry.world_places,
    "navi": geometry.world_places,
    "scannet": geometry.world_places,
    "feat2gs_lite": geometry.depth_and_color,
}
"""Perfect features by benchmark; for the two that look for a bias to position, nothing else."""
