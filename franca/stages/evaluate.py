"""Stage evaluate: run the benchmarks on one checkpoint; gather all checkpoints into tables.

output/ of one checkpoint
  metrics.json      every metric with its 95 % interval
  evidence/*.npz    per image, what the metrics follow from; paired comparisons need it
  predictions/*.npz per image, what was predicted, to be looked at
  details.json      what was chosen on the way (a penalty, a learning rate), seed and resamples
  samples.npz       features, attention and masks of a few images, for the report's pictures
  bounds.json       of the first checkpoint only: what features that are the ground truth reach
work/features/      extracted features, resumable

output/ of gather
  results.json, results.csv, results.md   all checkpoints joined
  comparisons.json                        paired differences between checkpoints
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from franca.config.evaluate import Evaluate, Task
from franca.config.evaluation_sets import EvaluationSet
from franca.eval.comparison import compare, ladder
from franca.eval.features import digest_files
from franca.eval.inputs.sets import EvaluationSets
from franca.eval.models import FeatureModel
from franca.eval.registry import BENCHMARKS
from franca.eval.results import read_metrics, write_json, write_metrics
from franca.eval.samples import sample_arrays
from franca.eval.store import FeatureStore
from franca.eval.suite import Pair, Suite
from franca.eval.tables import csv_text, joined_rows, main_cells, markdown
from franca.eval.transforms import CentreCrop, Square
from franca.models.vit import Features, VisionTransformer
from franca.models.weights import load_backbone
from franca.rasa.linear_map import LinearMap, load_map

_FIRST = "step-0000000"
GROUND_TRUTH = "ground_truth"


class WithoutPosition:
    """A backbone whose last patch tokens pass through RASA's map; CLS tokens stay as they are."""

    def __init__(self, model: VisionTransformer, linear_map: LinearMap) -> None:
        self._model = model
        self._map = linear_map
        self.embed_dim = model.embed_dim
        self.patch_size = model.patch_size
        self.depth = model.depth

    def forward_features(self, images: Tensor) -> Features:
        """Return the last block's tokens, position removed from the patches."""
        return self._mapped(self._model.forward_features(images))

    def forward_intermediate(
        self, images: Tensor, blocks: int | Sequence[int], *, norm: bool = True
    ) -> list[Features]:
        """Return the last blocks' tokens, position removed from the very last patches.

        The map is of tokens after the final norm: before it, tokens stay as they are.
        """
        *earlier, last = self._model.forward_intermediate(images, blocks, norm=norm)
        return [*earlier, self._mapped(last) if norm else last]

    def last_keys(self, images: Tensor) -> Tensor:
        """Return the keys of the last block, which the map does not touch."""
        return self._model.last_keys(images)

    def last_attention(self, images: Tensor) -> Tensor:
        """Return what CLS attends to in the last block, likewise."""
        return self._model.last_attention(images)

    def _mapped(self, features: Features) -> Features:
        return dataclasses.replace(features, patches=self._map(features.patches))


def load_checkpoint(
    name: str, inputs: Mapping[str, Path], *, device: torch.device
) -> tuple[FeatureModel, str]:
    """Load a checkpoint by name, with a digest of everything it is made of.

    Args:
        name: step-<number> of pretrain, "highres", or "rasa" (highres with the map on top).
        inputs: published folders of pretrain, finetune_highres and rasa.
        device: where to put the model.

    Raises:
        FileNotFoundError: there is no such checkpoint.
    """
    if name.startswith("step-"):
        path = inputs["pretrain"] / "checkpoints" / f"{name}.safetensors"
    else:
        path = inputs["finetune_highres"] / "checkpoints" / "highres.safetensors"
    model, _ = load_backbone(path)
    model.to(device)
    if name != "rasa":
        return model, digest_files(path)
    map_path = inputs["rasa"] / "map.safetensors"
    return WithoutPosition(model, load_map(map_path)), digest_files(path, map_path)


def run(
    cfg: Evaluate,
    *,
    seed: int,
    evaluation_sets: Mapping[str, EvaluationSet],
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
    checkpoint: str,
) -> dict[str, Any]:
    """Run the tasks on one checkpoint; in the middle of pretraining, only the quick benchmarks.

    Args:
        cfg: the section.
        seed: global seed.
        evaluation_sets: sets by name.
        inputs: published folders of pretrain, finetune_highres, rasa and scenes.
        output: staging folder.
        work: keeps extracted features over a kill.
        checkpoint: name of the checkpoint.

    Returns:
        The value of every metric.

    Raises:
        FileNotFoundError: no such checkpoint, or a set is not where it should be.
        ValueError: a task does not fit its set, or a set is not laid out as declared.
    """
    device = evaluation_device(cfg.device)
    model, digest = load_checkpoint(checkpoint, inputs, device=device)
    suite = build_suite(
        cfg,
        model=model,
        weights_digest=digest,
        evaluation_sets=evaluation_sets,
        scenes=inputs["scenes"],
        seed=seed,
        folder=work / "features",
        device=device,
    )
    suite.check(_pairs(cfg.tasks))
    tasks = _pairs(_tasks(cfg, inputs["pretrain"], checkpoint))
    metrics = suite.run(tasks, output, title=f"benchmarks of {checkpoint}")
    if checkpoint == _FIRST:
        write_metrics(output / "bounds.json", suite.bounds(tasks))
    _write_samples(cfg, suite, output)
    return {f"{m.benchmark}/{m.dataset}/{m.metric}": round(m.value, 6) for m in metrics}


def _tasks(cfg: Evaluate, pretrain: Path, checkpoint: str) -> tuple[Task, ...]:
    """Return all tasks for the ends of a phase of training, the quick ones for what is between."""
    steps = sorted(path.stem for path in (pretrain / "checkpoints").glob("step-*.safetensors"))
    if checkpoint not in steps[1:-1]:
        return cfg.tasks
    return tuple(task for task in cfg.tasks if BENCHMARKS[task.benchmark].quick)


def _pairs(tasks: Sequence[Task]) -> list[Pair]:
    return [Pair(task.benchmark, task.evaluation_set) for task in tasks]


def build_suite(
    cfg: Evaluate,
    *,
    model: FeatureModel,
    weights_digest: str,
    evaluation_sets: Mapping[str, EvaluationSet],
    scenes: Path,
    seed: int,
    folder: Path,
    device: torch.device,
) -> Suite:
    """Build the suite that runs the section's benchmarks on one model.

    Args:
        cfg: the section.
        model: on `device`, in evaluation mode.
        weights_digest: hash that stands for everything the model is.
        evaluation_sets: sets by name.
        scenes: published folder of the rendered world.
        seed: global seed.
        folder: where features are kept.
        device: where the model is.
    """
    store = FeatureStore(
        model=model,
        weights_digest=weights_digest,
        crop=CentreCrop(resize=cfg.resize, crop=cfg.crop_size),
        square=Square(side=cfg.dense_size),
        frame_side=cfg.frame_side,
        pair_side=cfg.pair_size,
        retrieval_sides=cfg.retrieval_sizes,
        blocks=max(*cfg.linear.blocks, *cfg.linear_cached.blocks),
        patch_dtype=cfg.patch_dtype,
        max_bytes=1e9 * (cfg.max_feature_gigabytes or math.inf),
        folder=folder,
        batch_size=cfg.batch_size,
        num_workers=cfg.num_workers,
        device=device,
    )
    return Suite(
        sets=EvaluationSets(all=evaluation_sets, scenes=scenes, store=store),
        parameters={
            name: getattr(cfg, benchmark.parameters_section).model_dump()
            for name, benchmark in BENCHMARKS.items()
        },
        seed=seed,
        resamples=cfg.resamples,
    )


def evaluation_device(wanted: str) -> torch.device:
    """Return the device that `evaluate.device` means."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _write_samples(cfg: Evaluate, suite: Suite, folder: Path) -> None:
    """Store a few images of the first dense set with what the model makes of them."""
    tasks = [task for task in cfg.tasks if BENCHMARKS[task.benchmark].kind == "segmentation"]
    if tasks and cfg.num_samples > 0:
        arrays: dict[str, Any] = sample_arrays(
            suite, tasks[0].evaluation_set, folder=folder, count=cfg.num_samples
        )
        np.savez_compressed(folder / "samples.npz", **arrays)


def gather(
    cfg: Evaluate,
    *,
    seed: int,
    evaluation_sets: Mapping[str, EvaluationSet],
    parts: Mapping[str, Path],
    inputs: Mapping[str, Path],
    output: Path,
    work: Path,
) -> dict[str, Any]:
    """Join the evaluations of all checkpoints and compare them on the same images.

    What perfect features reach stands beside them as the checkpoint "ground_truth".

    Args:
        cfg: what each evaluation followed.
        seed: likewise.
        evaluation_sets: likewise.
        parts: published evaluation of each checkpoint, in order of training.
        inputs: what each evaluation read.
        output: staging folder.
        work: unused, gathering is quick.

    Returns:
        How many checkpoints and metrics there are, and how many beat the first checkpoint.

    Raises:
        ValueError: evaluations that do not belong together.
    """
    del evaluation_sets, inputs, work  # the parts say all
    results = {name: read_metrics(path / "metrics.json") for name, path in parts.items()}
    names, pairs = list(parts), list(ladder(list(parts)))
    bounds = parts[names[0]] / "bounds.json"
    rows = compare(parts, results, pairs=pairs, resamples=cfg.resamples, seed=seed)
    if bounds.is_file():
        results[GROUND_TRUTH] = read_metrics(bounds)
    write_json(output / "results.json", joined_rows(results))
    (output / "results.csv").write_text(csv_text(results), encoding="utf-8")
    (output / "results.md").write_text(markdown(main_cells(results)), encoding="utf-8")
    write_json(output / "comparisons.json", rows)
    clear = [row for row in rows if row["baseline"] == names[0] and row["p_value"] < 0.05]
    return {
        "checkpoints": len(names),
        "metrics": len(results[names[0]]),
        "clearly_better_than_first": sum(row["improved"] for row in clear),
        "clearly_worse_than_first": sum(not row["improved"] for row in clear),
    }
