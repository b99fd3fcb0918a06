"""Stage evaluate: run the benchmarks on one checkpoint; gather all checkpoints into tables.

output/ of one checkpoint
  metrics.json      every metric with its 95 % interval
  evidence/*.npz    per image, what the metrics follow from; paired comparisons need it
  details.json      what was chosen on the way (a penalty, a learning rate), seed and resamples
  samples.npz       patch tokens and masks of a few images, for the report's pictures
work/features/      extracted features, resumable

output/ of gather
  results.json, results.csv, results.md   all checkpoints joined
  comparisons.json                        paired differences between checkpoints
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from franca.config.evaluate import Evaluate
from franca.config.evaluation_sets import EvaluationSet
from franca.eval.benchmark import Kind, NoveltyInputs, SegmentationInputs
from franca.eval.comparison import (
    compare,
    joined_rows,
    ladder,
    markdown_table,
    write_csv,
)
from franca.eval.datasets import SegmentationImages, open_labelled
from franca.eval.features import FeatureModel, digest_files
from franca.eval.in_context import predict
from franca.eval.registry import BENCHMARKS
from franca.eval.results import (
    Metric,
    evidence_path,
    read_metrics,
    write_evidence,
    write_json,
    write_metrics,
)
from franca.eval.store import FeatureStore
from franca.eval.transforms import CentreCrop, Square
from franca.models.vit import Features, VisionTransformer
from franca.models.weights import load_backbone
from franca.rasa.linear_map import LinearMap, load_map

_LOGGER = logging.getLogger(__name__)
_KIND_OF_SET: dict[Kind, str] = {
    "classification": "classification",
    "segmentation": "segmentation",
    "novelty": "novel",
}


class WithoutPosition:
    """A backbone whose last patch tokens pass through RASA's map; CLS tokens stay as they are."""

    def __init__(self, model: VisionTransformer, linear_map: LinearMap) -> None:
        self._model = model
        self._map = linear_map
        self.embed_dim = model.embed_dim
        self.patch_size = model.patch_size

    def forward_features(self, images: Tensor) -> Features:
        """Return the last block's tokens, position removed from the patches."""
        return self._mapped(self._model.forward_features(images))

    def forward_intermediate(self, images: Tensor, blocks: int) -> list[Features]:
        """Return the last blocks' tokens, position removed from the very last patches."""
        *earlier, last = self._model.forward_intermediate(images, blocks)
        return [*earlier, self._mapped(last)]

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


class _Sets:
    """The evaluation sets by name, opened and extracted once each."""

    def __init__(
        self, declared: Mapping[str, EvaluationSet], *, scenes: Path, store: FeatureStore
    ) -> None:
        self._declared = declared
        self._scenes = scenes
        self._store = store
        self._inputs: dict[str, tuple[Any, str]] = {}

    def declared(self, name: str) -> EvaluationSet:
        if name not in self._declared:
            known = ", ".join(self._declared) or "none"
            raise ValueError(
                f"evaluate.tasks names the set {name!r}, which evaluation_sets does not: {known}"
            )
        return self._declared[name]

    def inputs(self, name: str) -> tuple[Any, str]:
        """Return what benchmarks see of a set, and the digest of the images that are scored."""
        if name not in self._inputs:
            self._inputs[name] = self._prepare(name)
        return self._inputs[name]

    def segmentation_images(self, name: str, *, test: bool) -> SegmentationImages:
        """Open a split of a segmentation set."""
        declared = self.declared(name)
        split, limit = _split(declared, test=test)
        return SegmentationImages(self._root(declared), split=split, limit=limit)

    def _root(self, declared: EvaluationSet) -> Path:
        return Path(declared.root.format(scenes=self._scenes))

    def _prepare(self, name: str) -> tuple[Any, str]:
        declared = self.declared(name)
        if declared.kind == "segmentation":
            train, test = (self.segmentation_images(name, test=flag) for flag in (False, True))
            test.check_classes(declared.num_classes)
            found = self._store.segmentation(
                train,
                test,
                num_classes=declared.num_classes or 0,
                ignore_index=declared.ignore_index or 0,
            )
            return found, test.digest
        if declared.kind == "classification":
            sources = [self._labelled(declared, test=flag) for flag in (False, True)]
            return self._store.classification(*sources), sources[1].digest
        known, digest = self.inputs(declared.known_set or "")
        novel = self._labelled(declared, test=True)
        return NoveltyInputs(
            known=known, novel=self._store.cls_tokens(novel)
        ), digest + novel.digest

    def _labelled(self, declared: EvaluationSet, *, test: bool) -> Any:
        split, limit = _split(declared, test=test)
        return open_labelled(declared.format, self._root(declared), split=split, limit=limit)


def _split(declared: EvaluationSet, *, test: bool) -> tuple[str, int | None]:
    if test:
        return declared.test_split, declared.max_test
    return declared.train_split or "", declared.max_train


def _check_tasks(cfg: Evaluate, sets: _Sets) -> None:
    for task in cfg.tasks:
        wanted = _KIND_OF_SET[BENCHMARKS[task.benchmark].kind]
        found = sets.declared(task.evaluation_set).kind
        if found != wanted:
            raise ValueError(
                f"evaluate.tasks runs {task.benchmark} on {task.evaluation_set}, a {found} set: "
                f"it needs a {wanted} set"
            )


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
    """Run every task on one checkpoint.

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
    device = torch.device(_device(cfg.device))
    model, digest = load_checkpoint(checkpoint, inputs, device=device)
    store = FeatureStore(
        model=model,
        weights_digest=digest,
        crop=CentreCrop(resize=cfg.resize, crop=cfg.crop_size),
        square=Square(side=cfg.dense_size),
        blocks=max(cfg.linear_cached.blocks),
        patch_dtype=cfg.patch_dtype,
        folder=work / "features",
        batch_size=cfg.batch_size,
        num_workers=cfg.num_workers,
        device=device,
    )
    sets = _Sets(evaluation_sets, scenes=inputs["scenes"], store=store)
    _check_tasks(cfg, sets)
    metrics: list[Metric] = []
    details: dict[str, Any] = {"seed": seed, "resamples": cfg.resamples, "tasks": {}}
    for task in tqdm(cfg.tasks, desc=f"benchmarks of {checkpoint}"):
        benchmark, name = BENCHMARKS[task.benchmark], task.evaluation_set
        seen, images_digest = sets.inputs(name)
        parameters = getattr(cfg, task.benchmark).model_dump()
        outcome = benchmark.run(seen, seed=seed, device=device, **parameters)
        metrics += benchmark.measure(
            outcome.evidence, dataset=name, resamples=cfg.resamples, seed=seed
        )
        write_evidence(
            evidence_path(output, benchmark.name, name),
            outcome.evidence,
            images_digest=images_digest,
        )
        details["tasks"][f"{benchmark.name}-{name}"] = dict(outcome.details)
    write_metrics(output / "metrics.json", metrics)
    write_json(output / "details.json", details)
    _write_samples(cfg, sets, store, output / "samples.npz", seed=seed)
    return {f"{m.benchmark}/{m.dataset}/{m.metric}": round(m.value, 6) for m in metrics}


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def _write_samples(
    cfg: Evaluate, sets: _Sets, store: FeatureStore, path: Path, *, seed: int
) -> None:
    """Store a few images of the first dense set with what the model makes of them."""
    dense = {
        task.evaluation_set: None
        for task in cfg.tasks
        if BENCHMARKS[task.benchmark].kind == "segmentation"
    }
    if not dense or cfg.num_samples == 0:
        return
    name = next(iter(dense))
    images = sets.segmentation_images(name, test=True)
    spread = np.linspace(0, len(images) - 1, min(cfg.num_samples, len(images)))
    chosen: list[int] = spread.round().astype(int).tolist()
    arrays: dict[str, Any] = store.samples(images, chosen)
    if any(task.benchmark == "in_context" and task.evaluation_set == name for task in cfg.tasks):
        inputs: SegmentationInputs = sets.inputs(name)[0]
        painted = predict(
            dataclasses.replace(inputs, test=inputs.test.choose(chosen)),
            seed=seed,
            device=store.device,
            **cfg.in_context.model_dump(),
        )
        arrays["segmented"] = np.stack([mask.numpy() for mask in painted])
    np.savez_compressed(path, **arrays)


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
    rows = compare(parts, results, pairs=pairs, resamples=cfg.resamples, seed=seed)
    write_json(output / "results.json", joined_rows(results))
    write_csv(output / "results.csv", results)
    (output / "results.md").write_text(markdown_table(results), encoding="utf-8")
    write_json(output / "comparisons.json", rows)
    clear = [row for row in rows if row["baseline"] == names[0] and row["p_value"] < 0.05]
    return {
        "checkpoints": len(names),
        "metrics": len(results[names[0]]),
        "clearly_better_than_first": sum(row["improved"] for row in clear),
        "clearly_worse_than_first": sum(not row["improved"] for row in clear),
    }
