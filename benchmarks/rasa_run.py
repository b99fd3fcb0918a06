"""A finished run, opened for the study of RASA: backbone, views of the packed images, dense set."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from franca.data.shards import ShardDataset
from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.features import digest_files
from franca.eval.masked import SegmentationImages
from franca.eval.store import FeatureStore
from franca.eval.transforms import CentreCrop, Square
from franca.models.vit import VisionTransformer
from franca.models.weights import load_backbone
from franca.rasa.batches import TokenBatches, iterate
from franca.rasa.features import ViewBatches
from franca.rasa.targets import build_target
from franca.rasa.views import ViewSettings
from franca.stages.rasa import ShardImages, split_images

CPU = torch.device("cpu")
MAX_VIEWS = 3000  # whose tokens the network is fitted on; bounds time and memory


class Retargeted:
    """Tokens of other batches with other numbers of their places."""

    def __init__(self, batches: TokenBatches, target: Float[Tensor, "patches targets"]) -> None:
        self.dim, self.num_batches = batches.dim, batches.num_batches
        self.num_targets = target.shape[1]
        self._batches, self._target = batches, target

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """Return the tokens and the targets of a batch."""
        tokens, _ = self._batches.batch(epoch, index)
        return tokens, self._target.repeat(len(tokens) // len(self._target), 1)


@dataclass(frozen=True)
class FinishedRun:
    """What a scale and variant have left behind, opened when asked for."""

    artifacts: Path
    scale: str
    variant: str
    parameters: Any

    @property
    def seed(self) -> int:
        """The global seed."""
        return int(self.parameters.seed)

    @cached_property
    def weights(self) -> Path:
        """File of the high-resolution backbone."""
        stage = self.artifacts / self.scale / self.variant / "finetune_highres"
        return stage / "checkpoints" / "highres.safetensors"

    @cached_property
    def model(self) -> VisionTransformer:
        """The backbone, in evaluation mode."""
        return load_backbone(self.weights)[0]

    @cached_property
    def views(self) -> list[ViewBatches]:
        """Views to fit the maps on, to fit the probes on, and to score them on."""
        cfg = self.parameters.rasa
        dataset = ShardDataset(self.artifacts / self.scale / "pack_shards")
        parts = split_images(
            len(dataset),
            max_images=cfg.max_images,
            num_probe_images=cfg.probe.num_images,
            seed=self.seed,
        )
        return [
            ViewBatches(
                ShardImages(dataset),
                indices,
                model=self.model,
                target=build_target("linear", fourier_order=None),
                views=ViewSettings(**cfg.fit.views.model_dump()),
                side=self.model.arch.image_size,
                batch_size=min(cfg.fit.batch_size, len(indices)),
                shuffle=cfg.fit.shuffle and purpose == "fit",
                seed=self.seed,
                purpose=purpose,
                cache_bytes=8 * 10**9,
            )
            for indices, purpose in zip(parts, ("fit", "probe", "probe"), strict=True)
        ]

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Patches of a view."""
        side = self.model.arch.image_size // self.model.patch_size
        return side, side

    @cached_property
    def fit_tokens(self) -> tuple[Tensor, Tensor]:
        """Tokens and places of the first of the views that maps are fitted on."""
        batches = iterate(self.views[0], epochs=self.parameters.rasa.fit.epochs)
        tokens, targets = map(torch.cat, zip(*batches, strict=True))
        limit = MAX_VIEWS * self.grid[0] * self.grid[1]
        return tokens[:limit], targets[:limit]

    @cached_property
    def fit_views(self) -> SegmentationInputs:
        """The same tokens in the shape that benchmarks take; there are no masks."""
        part = self._as_dense(self.fit_tokens[0])
        return SegmentationInputs(train=part, test=part, num_classes=1, ignore_index=255)

    @cached_property
    def held_out(self) -> SegmentationInputs:
        """Tokens of the probes' views, likewise."""
        train, test = (
            self._as_dense(torch.cat([z for z, _ in iterate(batches, epochs=1)]))
            for batches in self.views[1:]
        )
        return SegmentationInputs(train=train, test=test, num_classes=1, ignore_index=255)

    def _as_dense(self, tokens: Tensor) -> DenseFeatures:
        patches = tokens.view(-1, self.grid[0] * self.grid[1], tokens.shape[1])
        masks = torch.zeros(len(patches), *self.grid, dtype=torch.uint8)
        return DenseFeatures(patches=patches, grid=self.grid, masks=masks, depth=None, normals=None)

    def segmentation(self, folder: Path) -> tuple[str, SegmentationInputs]:
        """Return name and features of the set that in_context is evaluated on."""
        cfg = self.parameters.evaluate
        name = next(t.evaluation_set for t in cfg.tasks if t.benchmark == "in_context")
        declared = self.parameters.evaluation_sets[name]
        root = Path(declared.root.format(scenes=self.artifacts / self.scale / "scenes"))
        store = FeatureStore(
            model=self.model,
            weights_digest=digest_files(self.weights),
            crop=CentreCrop(resize=cfg.resize, crop=cfg.crop_size),
            square=Square(side=cfg.dense_size),
            frame_side=cfg.frame_side,
            pair_side=cfg.pair_size,
            retrieval_sides=cfg.retrieval_sizes,
            blocks=1,
            patch_dtype="float32",  # rounded after the map, as in the stage evaluate
            max_bytes=math.inf,
            folder=folder,
            batch_size=cfg.batch_size,
            num_workers=0,
            device=CPU,
        )
        parts = [
            SegmentationImages(root, split=split, limit=limit)
            for split, limit in (
                (declared.train_split, declared.max_train),
                (declared.test_split, declared.max_test),
            )
        ]
        return name, store.segmentation(
            *parts, num_classes=declared.num_classes, ignore_index=declared.ignore_index
        )
