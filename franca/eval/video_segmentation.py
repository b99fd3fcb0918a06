"""Video object segmentation: the first mask is given, its labels travel along like patches."""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from franca.eval.benchmark import Benchmark, MetricSpec, Outcome
from franca.eval.davis import VOID, num_objects, sequence_scores, statistics
from franca.eval.objects import Video, VideoInputs
from franca.eval.propagation import Grid, label_map, propagate
from franca.eval.resampling import Evidence, Weights


def grid_labels(
    mask: UInt8[np.ndarray, "height width"], *, grid: Grid, channels: int
) -> Float[Tensor, "patches channels"]:
    """Return a mask resized (nearest) to patches, as one-hot rows; void is background."""
    filled = np.where(mask == VOID, 0, mask)
    filled = np.where(filled < channels, filled, 0).astype(np.uint8)
    small = Image.fromarray(filled).resize((grid[1], grid[0]), Image.Resampling.NEAREST)
    return nn.functional.one_hot(
        torch.from_numpy(np.array(small)).long().flatten(), channels
    ).float()


def segment_video(
    video: Video,
    *,
    patch_size: int,
    context: int,
    radius: int,
    neighbours: int,
    temperature: float,
    device: torch.device,
) -> UInt8[np.ndarray, "frames height width"]:
    """Return the object of every pixel; the first frame is the given mask.

    Args:
        video: tokens and masks, of which only the first is looked at.
        patch_size: pixels of a side of a patch.
        context: this and what follows as for `propagate`.
        radius: see there.
        neighbours: see there.
        temperature: see there.
        device: where to compute.
    """
    channels = num_objects(video.masks[0]) + 1
    found = propagate(
        video.patches,
        grid_labels(video.masks[0], grid=video.grid, channels=channels),
        grid=video.grid,
        context=context,
        radius=radius,
        neighbours=neighbours,
        temperature=temperature,
        device=device,
    )
    height, width = video.masks.shape[1:]
    maps = [video.masks[0]]
    for labels in found:
        drawn = Image.fromarray(label_map(labels, grid=video.grid, patch_size=patch_size).numpy())
        maps.append(np.array(drawn.resize((width, height), Image.Resampling.NEAREST)))
    return np.stack(maps)


def video_segmentation(
    inputs: VideoInputs,
    *,
    seed: int,
    device: torch.device,
    context: int,
    radius: int,
    neighbours: int,
    temperature: float,
) -> Outcome:
    """Segment every video from its first mask and score it as DAVIS-2017 does.

    Args:
        inputs: tokens and masks.
        seed: nothing is random.
        device: where to compute.
        context: this and what follows as for `propagate`.
        radius: see there.
        neighbours: see there.
        temperature: see there.

    Raises:
        ValueError: no video has an object in its first mask and a frame to score.
    """
    del seed
    rows, unscored, predictions = [], [], {}
    for one in inputs.videos:
        if len(one.masks) < 3 or num_objects(one.masks[0]) == 0:
            unscored.append(one.name)
            continue
        predicted = segment_video(
            one,
            patch_size=inputs.patch_size,
            context=context,
            radius=radius,
            neighbours=neighbours,
            temperature=temperature,
            device=device,
        )
        predictions[f"predicted/{one.name}"] = predicted
        scores = sequence_scores(one.masks, predicted)
        per_object = [[*statistics(j), *statistics(f)] for j, f in scores]
        rows.append([len(per_object), *np.sum(per_object, axis=0)])
    if not rows:
        raise ValueError(
            f"none of the videos {', '.join(unscored)} has an object in its first mask and a frame "
            "between the first and the last: nothing can be scored"
        )
    return Outcome(
        evidence={"scores": np.array(rows)},
        predictions=predictions,
        details={"unscored": unscored},
    )


def _mean_over_objects(
    evidence: Evidence, weights: Weights, *, columns: tuple[int, ...]
) -> NDArray[np.float64]:
    """Average columns over objects, each of them counting as often as its sequence.

    Args:
        evidence: [sequences, 7]: number of objects, then sums over them of J's mean, recall and
            decay and F's.
        weights: [resamples, sequences] how often each sequence counts.
        columns: averaged, in equal parts.
    """
    sums = weights @ evidence[:, list(columns)].mean(1)
    return np.asarray(sums / np.maximum(weights @ evidence[:, 0], 1e-12), dtype=np.float64)


_COLUMNS = {
    "j_and_f": ("higher", (1, 4)),
    "j_mean": ("higher", (1,)),
    "f_mean": ("higher", (4,)),
    "j_recall": ("higher", (2,)),
    "f_recall": ("higher", (5,)),
    "j_decay": ("lower", (3,)),
    "f_decay": ("lower", (6,)),
}

BENCHMARK = Benchmark(
    name="video_segmentation",
    version="1.0",
    protocol="semi-supervised DAVIS-2017: labels of the first frame propagated by the nearest "
    "patches of it and of previous frames; sides moved to the nearest multiple of the patch; "
    "J and F over objects, first and last frame left out; interval over sequences",
    source="facebookresearch/dino@7c446df, davis2017-evaluation@ac7c43f; Franca, Table 3b",
    kind="video",
    quick=True,
    metrics=tuple(
        MetricSpec(
            name,
            "higher" if direction == "higher" else "lower",
            "fraction",
            "scores",
            partial(_mean_over_objects, columns=columns),
            "percentile",
        )
        for name, (direction, columns) in _COLUMNS.items()
    ),
    run=video_segmentation,
    predictions={"predicted": "[frames, height, width] of each sequence by name: object, 0 none"},
)
