"""All benchmarks by name: one row each."""

from franca.eval import (
    correspondence,
    depth,
    feat2gs,
    geometry_probes,
    hummingbird,
    in_context,
    keypoints,
    knn,
    linear,
    linear_pca,
    linear_segmentation,
    linseg_mmseg518,
    linseg_neco100,
    logreg,
    lost,
    normals,
    ood,
    overclustering,
    position,
    retrieval,
    robustness,
    spatial_entropy,
    tokencut,
    video_segmentation,
)
from franca.eval.benchmark import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    module.BENCHMARK.name: module.BENCHMARK
    for module in (
        knn,
        linear,
        linear_pca,
        logreg,
        robustness,
        retrieval,
        in_context,
        hummingbird,
        linear_segmentation,
        linseg_mmseg518,
        linseg_neco100,
        overclustering,
        depth,
        normals,
        position,
        spatial_entropy,
        ood,
        keypoints,
        tokencut,
        lost,
        video_segmentation,
    )
} | {
    benchmark.name: benchmark
    for benchmark in (
        linear.LINEAR,
        linseg_mmseg518.ADE20K,
        keypoints.SPAIR,
        geometry_probes.DEPTH,
        geometry_probes.NORMALS,
        correspondence.RENDERED,
        correspondence.NAVI,
        correspondence.SCANNET,
        feat2gs.BENCHMARK,
    )
}
