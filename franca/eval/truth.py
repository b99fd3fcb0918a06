"""Features that are the ground truth itself: with them a benchmark must reach its upper bound.

What a benchmark reaches on perfect features says how high its scale goes: patches are coarser than
pixels, a search averages over neighbours. And a benchmark that does not tell perfect features from
those of a random network measures nothing.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from franca.eval.benchmark import (
    ClassificationInputs,
    DenseFeatures,
    ImageFeatures,
    NoveltyInputs,
    PictureInputs,
    SegmentationInputs,
    StreamedFeatures,
)
from franca.eval.crops import pad_to_patches
from franca.eval.davis import VOID
from franca.eval.geometry import (
    Geometry,
    GeometryInputs,
    LayerFeatures,
    PosedView,
    SceneInputs,
    ViewPair,
    ViewPairInputs,
)
from franca.eval.in_context import patch_labels
from franca.eval.inputs.contracts import ProbeInputs, RetrievalInputs
from franca.eval.lazy import lazily
from franca.eval.objects import (
    DiscoveryImage,
    DiscoveryInputs,
    KeypointPair,
    PairInputs,
    Video,
    VideoInputs,
)
from franca.eval.position import positions
from franca.eval.targets import patch_depth as mean_depth
from franca.eval.targets import patch_normals as mean_normals
from franca.eval.transforms import RandomCrop
from franca.eval.video_segmentation import grid_labels
from franca.randomness import generator

_LEVELS = 16
_NOISE = 1e-2
_SMALLEST = 0.8
Split = DenseFeatures | StreamedFeatures


def _one_hot(labels: Int[Tensor, " images"], *, width: int) -> Float[Tensor, "images width"]:
    return nn.functional.one_hot(labels, width).float()


def class_code(
    labels: Int[Tensor, " images"], *, classes: int, width: int
) -> Float[Tensor, "images width"]:
    """Return features that tell classes apart from their first entries on.

    Classes lie evenly on circles: the first pair of entries goes round once, the next twice, a
    little smaller, and so on; what is left of the width is 0. On the first circle alone a linear
    head can tell all classes, and the first principal components are the first circles; all
    together keep the classes as far from each other as one-hot entries do.

    Args:
        labels: classes.
        classes: how many there are.
        width: at least 2.
    """
    circles = max(1, min(classes - 1, width) // 2)
    angles = 2 * torch.pi / classes * labels[:, None] * torch.arange(1, circles + 1)
    waves = torch.stack([angles.cos(), angles.sin()], dim=2)
    sizes = torch.linspace(1.0, _SMALLEST, circles)
    return nn.functional.pad((waves * sizes[:, None]).flatten(1), (0, width - 2 * circles))


def _labelled(split: ImageFeatures, *, classes: int) -> ImageFeatures:
    _, blocks, width = split.cls_blocks.shape
    code = class_code(split.labels, classes=classes, width=width)
    return ImageFeatures(
        cls_blocks=code[:, None].expand(-1, blocks, -1), mean_patch=code, labels=split.labels
    )


def image_classes(inputs: ClassificationInputs, *, spare: int = 0) -> ClassificationInputs:
    """Return the same images, each with the code of its class, of which there are `spare` more."""
    classes = inputs.num_classes + spare
    train, test = (_labelled(split, classes=classes) for split in (inputs.train, inputs.test))
    chosen_on = inputs.validation and _labelled(inputs.validation, classes=classes)
    return dataclasses.replace(inputs, train=train, test=test, validation=chosen_on)


def probe_classes(inputs: ProbeInputs) -> ProbeInputs:
    """Return the same images, each with the code of its known class.

    Of several right classes it has the first; heads are trained anew and not kept.
    """

    def known(split: ImageFeatures) -> ImageFeatures:
        return _labelled(split, classes=inputs.num_classes)

    def stream(
        batches: Sequence[Int[Tensor, " _"]], augment: RandomCrop | None
    ) -> Iterator[ImageFeatures]:
        del augment  # a class has no crop
        for rows in batches:
            blank = torch.zeros(len(rows), blocks, width)
            yield known(
                ImageFeatures(cls_blocks=blank, mean_patch=blank[:, 0], labels=inputs.labels[rows])
            )

    _, blocks, width = inputs.validation.cls_blocks.shape
    right = inputs.columns[inputs.test.labels]
    if inputs.accepted is not None:
        right = inputs.accepted.int().argmax(1)
    test = known(dataclasses.replace(inputs.test, labels=right))
    return dataclasses.replace(
        inputs,
        stream=stream,
        keep=lambda _, make: make(),
        validation=known(inputs.validation),
        test=dataclasses.replace(test, labels=inputs.test.labels),
    )


def retrieved_queries(inputs: RetrievalInputs) -> RetrievalInputs:
    """Return the same images, each saying which of the queries it is right for."""
    queries = torch.eye(len(inputs.queries))
    database = torch.zeros(len(inputs.database), len(inputs.queries))
    for query, relevant in enumerate(inputs.relevant):
        database[[*relevant.easy, *relevant.hard], query] = 1.0
    return dataclasses.replace(inputs, queries=queries, database=database)


def novelty(inputs: NoveltyInputs) -> NoveltyInputs:
    """Return known images with their classes, and novel ones with a class that no known one has.

    A little noise goes with all: detectors that measure by the spread within classes need one.
    """
    known = image_classes(inputs.known, spare=1)
    classes = known.num_classes + 1

    def unknown(cls: Tensor, number: int) -> Tensor:
        last = torch.full((len(cls),), known.num_classes)
        return _noisy(class_code(last, classes=classes, width=cls.shape[1]), number)

    def noisy(split: ImageFeatures, number: int) -> ImageFeatures:
        return dataclasses.replace(split, cls_blocks=_noisy(split.cls_blocks, number))

    return NoveltyInputs(
        known=dataclasses.replace(known, train=noisy(known.train, 0), test=noisy(known.test, 1)),
        novel=tuple(
            dataclasses.replace(each, cls=unknown(each.cls, number))
            for number, each in enumerate(inputs.novel, start=3)
        ),
        validation=None if inputs.validation is None else unknown(inputs.validation, 2),
    )


def _noisy(features: Tensor, number: int) -> Tensor:
    noise = torch.randn(features.shape, generator=generator(0, "evaluate/truth/noise", number))
    return features + _NOISE * noise


def _with_patches(split: Split, patches: Tensor) -> DenseFeatures:
    return DenseFeatures(
        patches=patches.float(),
        grid=split.grid,
        masks=split.masks,
        depth=split.depth,
        normals=split.normals,
    )


def patch_classes(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with the shares of the classes among its pixels."""

    def shares(split: Split) -> DenseFeatures:
        found = patch_labels(
            split.masks,
            grid=split.grid,
            num_classes=inputs.num_classes,
            ignore_index=inputs.ignore_index,
        )
        return _with_patches(split, found)

    return dataclasses.replace(inputs, train=shares(inputs.train), test=shares(inputs.test))


def pixel_classes(inputs: PictureInputs) -> PictureInputs:
    """Return the same images with an encoder that sees the shares of the classes in a patch."""

    def shares(images: Tensor, masks: Tensor) -> Float[Tensor, "batch classes rows columns"]:
        del images
        void, patch_size = inputs.ignore_index, inputs.patch_size
        padded = pad_to_patches(masks, patch_size=patch_size, value=void)
        grid = (padded.shape[1] // patch_size, padded.shape[2] // patch_size)
        found = patch_labels(padded, grid=grid, num_classes=inputs.num_classes, ignore_index=void)
        maps: Tensor = found.mT.unflatten(2, grid)
        return maps

    return dataclasses.replace(inputs, encode=shares, dim=inputs.num_classes)


def patch_depth(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with the logarithm of its depth; 0 where it has none."""

    def depth(split: Split) -> DenseFeatures:
        assert split.depth is not None
        return _with_patches(split, split.depth.log()[..., None].nan_to_num())

    return dataclasses.replace(inputs, train=depth(inputs.train), test=depth(inputs.test))


def patch_normals(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with its surface normal; 0 where it has none."""

    def normals(split: Split) -> DenseFeatures:
        assert split.normals is not None
        return _with_patches(split, split.normals.nan_to_num())

    return dataclasses.replace(inputs, train=normals(inputs.train), test=normals(inputs.test))


def patch_places(inputs: SegmentationInputs) -> SegmentationInputs:
    """Return the same images, each patch with its row and column."""

    def places(split: Split) -> DenseFeatures:
        return _with_patches(split, positions(split.grid).expand(len(split.patches), -1, -1))

    return dataclasses.replace(inputs, train=places(inputs.train), test=places(inputs.test))


def object_keys(inputs: DiscoveryInputs) -> DiscoveryInputs:
    """Return the same images; a key says whether its patch's centre is in the largest box."""

    def keyed(image: DiscoveryImage) -> DiscoveryImage:
        inside = torch.zeros(image.grid, dtype=torch.long)
        if len(image.boxes):
            areas = (image.boxes[:, 2:] - image.boxes[:, :2]).prod(1)
            x0, y0, x1, y1 = image.boxes[areas.argmax()]
            rows, columns = (
                (torch.arange(count) + 0.5) * inputs.patch_size for count in image.grid
            )
            inside = (
                ((rows >= y0) & (rows < y1))[:, None] & (columns >= x0) & (columns < x1)
            ).long()
        return dataclasses.replace(image, keys=_one_hot(inside.flatten(), width=2))

    return dataclasses.replace(inputs, images=lazily(keyed, inputs.images))


def object_patches(inputs: VideoInputs) -> VideoInputs:
    """Return the same videos, each patch with the object at its centre as a one-hot feature."""

    def tracked(video: Video) -> Video:
        channels = int(video.masks[video.masks != VOID].max(initial=0)) + 1
        frames = [grid_labels(mask, grid=video.grid, channels=channels) for mask in video.masks]
        return dataclasses.replace(video, patches=torch.stack(frames))

    return dataclasses.replace(inputs, videos=lazily(tracked, inputs.videos))


def layer_depth(inputs: GeometryInputs) -> GeometryInputs:
    """Return the same images, each patch of each layer with its depth between two of 16 levels.

    As levels, because heads choose between depths; as large as tokens are, because they are trained
    for a number of steps that suits tokens.
    """
    farthest = max(float(geometry.depth.max()) for geometry in inputs.train.geometry)

    def told(geometry: Geometry, grid: tuple[int, int]) -> Tensor:
        depth = torch.from_numpy(mean_depth(geometry.depth.numpy(), grid=grid)).nan_to_num(0.0)
        level = depth[:, None] * (_LEVELS - 1) / farthest
        return _LEVELS * (1 - (level - torch.arange(_LEVELS)).abs()).clamp_min(0)

    return _with_layers(inputs, told)


def layer_normals(inputs: GeometryInputs) -> GeometryInputs:
    """Return the same images, each patch of each layer with its surface normal."""

    def told(geometry: Geometry, grid: tuple[int, int]) -> Tensor:
        assert geometry.normals is not None
        normals = geometry.normals.permute(1, 2, 0).numpy()
        return torch.from_numpy(mean_normals(normals, grid=grid)).nan_to_num()

    return _with_layers(inputs, told)


def _with_layers(
    inputs: GeometryInputs, told: Callable[[Geometry, tuple[int, int]], Tensor]
) -> GeometryInputs:
    def change(split: LayerFeatures) -> LayerFeatures:
        patches = torch.stack([told(geometry, split.grid) for geometry in split.geometry])
        layers, width = split.patches.shape[1], split.patches.shape[3]
        # As many channels as tokens have, since heads train for as many steps as suit those.
        wide = patches.float().repeat(1, 1, max(1, width // patches.shape[2]))
        return dataclasses.replace(
            split,
            cls=torch.zeros(len(patches), layers, 1),
            patches=wide[:, None].expand(-1, layers, -1, -1),
        )

    return dataclasses.replace(inputs, train=change(inputs.train), test=change(inputs.test))


def world_places(inputs: ViewPairInputs) -> ViewPairInputs:
    """Return the same pairs, each patch with waves of the place in the world that it shows."""

    def place(pair: ViewPair) -> ViewPair:
        first, second = (
            dataclasses.replace(view, tokens=_waves(_shown(view)))
            for view in (pair.first, pair.second)
        )
        return dataclasses.replace(pair, first=first, second=second)

    return dataclasses.replace(inputs, pairs=lazily(place, inputs.pairs))


def _shown(view: PosedView) -> Float[Tensor, "patches 3"]:
    """Return the mean place in the world that each patch shows; 0 where it has no depth."""
    known = (view.points[2] > 0).float()
    rotation, shift = view.pose[:, :3], view.pose[:, 3:]
    world = (rotation.T @ (view.points.flatten(1) - shift)).view_as(view.points) * known
    shares = nn.functional.adaptive_avg_pool2d(known[None], view.grid)
    means = nn.functional.adaptive_avg_pool2d(world, view.grid) / shares.clamp_min(1e-6)
    return means.flatten(1).T


def _waves(places: Float[Tensor, "patches 3"]) -> Float[Tensor, "patches waves"]:
    """Make the cosine between features fall with the distance between places, metres."""
    phases = torch.cat([places * scale for scale in (0.5, 1.0, 2.0)], dim=1)
    return torch.cat([phases.sin(), phases.cos()], dim=1)


def depth_and_color(inputs: SceneInputs) -> SceneInputs:
    """Return the same scenes with patches of one pixel, each with its colour and log-depth.

    So fine that nothing is lost by upsampling: what remains is what rendering itself loses.
    """

    def tell(scene: Sequence[PosedView]) -> list[PosedView]:
        return [told(view) for view in scene]

    def told(view: PosedView) -> PosedView:
        depth = view.points[2]
        logs = torch.where(depth > 0, depth, 1.0).log()
        tokens = torch.cat([logs[None], view.pixels]).flatten(1).T
        return dataclasses.replace(view, tokens=tokens, grid=(depth.shape[0], depth.shape[1]))

    return dataclasses.replace(inputs, scenes=lazily(tell, inputs.scenes))


def point_places(inputs: PairInputs) -> PairInputs:
    """Return the same pairs, each patch saying which of the pair's points it holds, if any."""

    def held(points: Tensor, grid: tuple[int, int]) -> Float[Tensor, "patches points"]:
        rows, columns = grid
        x, y = (points * torch.tensor([columns, rows])).long().unbind(1)
        cell = y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)
        return nn.functional.one_hot(cell, rows * columns).T.float()

    def place(pair: KeypointPair) -> KeypointPair:
        return dataclasses.replace(
            pair,
            source=held(pair.source_points, pair.grid),
            target=held(pair.target_points, pair.grid),
        )

    return PairInputs(lazily(place, inputs.pairs))


TRUTHS: dict[str, Callable[[Any], Any]] = {
    "knn": image_classes,
    "linear": probe_classes,
    "linear_cached": image_classes,
    "linear_pca": image_classes,
    "robustness": probe_classes,
    "retrieval": retrieved_queries,
    "logreg": image_classes,
    "ood": novelty,
    "in_context": patch_classes,
    "hummingbird": pixel_classes,
    "linear_segmentation": patch_classes,
    "linseg_mmseg518": pixel_classes,
    "linseg_mmseg518_ade20k": pixel_classes,
    "linseg_neco100": pixel_classes,
    "overclustering": patch_classes,
    "depth": patch_depth,
    "normals": patch_normals,
    "position": patch_places,
    "spatial_entropy": patch_places,
    "keypoints": point_places,
    "spair": point_places,
    "tokencut": object_keys,
    "lost": object_keys,
    "video_segmentation": object_patches,
    "probe3d_depth": layer_depth,
    "probe3d_normals": layer_normals,
    "correspondence": world_places,
    "navi": world_places,
    "scannet": world_places,
    "feat2gs_lite": depth_and_color,
}
"""Perfect features by benchmark; for the two that look for a bias to position, nothing else."""
