"""Parameters of the evaluation: what is refused, and in which words."""

import pytest
from pydantic import ValidationError

from franca.config.evaluate import Evaluate

KNN = {
    "neighbours": [10, 20],
    "headline": 20,
    "temperature": 0.07,
    "halvings": 2,
    "pca_dims": [],
    "shots": [2],
    "attempts": 2,
    "leave_one_out": True,
    "block": 64,
}
RECIPE = {
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup": 0.25,
    "width": 4,
}
MATCHES = {
    "scale": 0.5,
    "matches": 20,
    "metres": [0.1],
    "pixels": [2.0],
    "pixels_of_grid": False,
    "bins": [0.0, 60.0, 180.0],
    "bin_unit": "m",
    "bin_threshold": 0.1,
}
KMEANS = {"iterations": 5, "restarts": 1, "points_per_cluster": 8}
LINEAR = {
    "blocks": [1],
    "learning_rates": [0.1],
    "steps": 5,
    "batch_size": 8,
    "momentum": 0.9,
    "held_out": 0.1,
}
MMSEG518 = {
    "long_side": 64,
    "short_side": 16,
    "ratios": [0.5, 2.0],
    "crop": 16,
    "largest_share": 0.75,
    "steps": 3,
    "max_epochs": 2,
    "batch_size": 4,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "warmup_steps": 1,
    "warmup_ratio": 1e-6,
    "stride": 8,
    "scales": [1.0],
    "flip": False,
}
EVALUATE = {
    "device": "cpu",
    "batch_size": 8,
    "num_workers": 0,
    "resize": 16,
    "crop_size": 16,
    "dense_size": 16,
    "frame_side": 16,
    "pair_size": 16,
    "retrieval_sizes": [16],
    "patch_dtype": "float32",
    "max_feature_gigabytes": None,
    "resamples": 20,
    "num_samples": 2,
    "tasks": [{"benchmark": "knn", "evaluation_set": "objects"}],
    "knn": KNN,
    "linear": LINEAR | {"crop_scale": [0.5, 1.0], "flip": 0.5},
    "linear_cached": LINEAR,
    "linear_pca": LINEAR | {"blocks": [1], "pca_dims": [2, 10_000]},
    "retrieval": {"precisions": [1, 5], "block": 64},
    "logreg": {
        "inverse_penalties": [1.0],
        "max_iterations": 50,
        "tolerance": 1e-3,
        "standardised": True,
    },
    "in_context": {"neighbours": 5, "temperature": 0.02, "memory_size": None, "block": 64},
    "hummingbird": {
        "neighbours": 5,
        "temperature": 0.02,
        "memory_size": None,
        "block": 64,
        "side": 16,
        "scale": [0.5, 2.0],
        "jitter": 0.1,
        "memories": 2,
        "batch_size": 4,
    },
    "linear_segmentation": {
        "steps": 5,
        "batch_size": 4,
        "learning_rate": 0.1,
        "momentum": 0.9,
    },
    "linseg_mmseg518": MMSEG518,
    "linseg_mmseg518_ade20k": MMSEG518 | {"optimizer": "adamw"},
    "linseg_neco100": {
        "side": 16,
        "mask_side": 8,
        "scale": [0.8, 1.0],
        "epochs": 2,
        "drop_epoch": 1,
        "drop_factor": 0.1,
        "batch_size": 4,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "validate_every": 3,
    },
    "overclustering": {"clusters": [0, 5], "runs": 1, "pca_dims": None, "side": 16, **KMEANS},
    "depth": {"penalties": [0.1]},
    "normals": {"penalties": [0.1]},
    "position": {},
    "spatial_entropy": {"clusters": 4, **KMEANS},
    "ood": {
        "neighbours": [2],
        "guide_neighbours": 2,
        "principal_dims": [8],
        "validation_share": 0.1,
        "inverse_penalty": 1.0,
        "max_iterations": 50,
        "tolerance": 1e-3,
    },
    "tokencut": {"threshold": 0.2},
    "lost": {"similar": 4},
    "video_segmentation": {"context": 2, "radius": 2, "neighbours": 3, "temperature": 0.1},
    "probe3d_depth": {
        "heads": ["dpt", "linear"],
        "recipe": RECIPE,
        "bins": 8,
        "farthest": 10.0,
    },
    "probe3d_normals": {"heads": ["dpt"], "recipe": RECIPE},
    "correspondence": MATCHES,
    "navi": MATCHES,
    "scannet": MATCHES,
    "feat2gs_lite": {"dims": 8, "penalty": 1e-3, "radius": 0.5, "margin": 0.05},
    "keypoints": {"thresholds": [0.1, 0.2]},
    "spair": {"thresholds": [0.1]},
}


def test_complete_section_is_accepted_and_nothing_has_a_default():
    assert Evaluate(**EVALUATE).knn.neighbours == (10, 20)
    for name in EVALUATE:
        with pytest.raises(ValidationError, match=name):
            Evaluate(**{key: value for key, value in EVALUATE.items() if key != name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": 17}, "crop_size 17 exceeds resize 16"),
        ({"tasks": EVALUATE["tasks"] * 2}, "benchmark twice on the same set"),
        ({"tasks": [{"benchmark": "guess", "evaluation_set": "x"}]}, "Input should be 'knn'"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"knnn": {}}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_values_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Evaluate(**(EVALUATE | change))
