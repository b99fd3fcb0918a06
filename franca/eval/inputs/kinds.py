"""Kinds of benchmark: which sets each can use, and how a set is prepared for it."""

from collections.abc import Callable
from dataclasses import dataclass

from franca.eval.benchmark import (
    Benchmark,
    DiscoveryImage,
    DiscoveryInputs,
    Kind,
    NoveltyInputs,
    Video,
    VideoInputs,
)
from franca.eval.inputs.sets import EvaluationSets, Prepared
from franca.eval.lazy import Lazy
from franca.eval.native import patch_grids


@dataclass(frozen=True)
class KindOfInputs:
    """How benchmarks of one kind get what they see.

    Attributes:
        set_kinds: the kinds of set that can be prepared.
        prepare: from the sets and a name to the inputs.
    """

    set_kinds: tuple[str, ...]
    prepare: Callable[[EvaluationSets, str], Prepared]


def _classification(sets: EvaluationSets, name: str) -> Prepared:
    train, test = (sets.labelled(name, test=flag) for flag in (False, True))
    images = len(train) + len(test)
    return Prepared(
        load=lambda: sets.store.classification(train, test),
        digest=test.digest,
        images=images,
        bytes=sets.store.image_bytes(images),
    )


def _segmentation(sets: EvaluationSets, name: str) -> Prepared:
    declared = sets.declared(name)
    train, test = (sets.segmented(name, test=flag) for flag in (False, True))
    test.check_classes(declared.num_classes)
    images = len(train) + len(test)
    return Prepared(
        load=lambda: sets.store.segmentation(
            train,
            test,
            num_classes=declared.num_classes or 0,
            ignore_index=declared.ignore_index or 0,
        ),
        digest=test.digest,
        images=images,
        bytes=sets.store.dense_bytes(images),
    )


def _novelty(sets: EvaluationSets, name: str) -> Prepared:
    known = _classification(sets, sets.declared(name).known_set or "")
    novel = sets.labelled(name, test=True)
    return Prepared(
        load=lambda: NoveltyInputs(known=known.inputs, novel=sets.store.cls_tokens(novel)),
        digest=known.digest + novel.digest,
        images=known.images + len(novel),
        bytes=known.bytes + sets.store.image_bytes(len(novel)),
    )


def _discovery(sets: EvaluationSets, name: str) -> Prepared:
    images = sets.boxed(name)
    transform = sets.store.padded
    patches = sum(rows * columns for rows, columns in patch_grids(images, transform))

    def load() -> DiscoveryInputs:
        tokens = sets.store.native(images, transform, kind="keys")
        made = Lazy(
            len(images),
            lambda index: DiscoveryImage(
                keys=tokens.rows(index, index + 1),
                grid=tokens.grids[index],
                size=images.size(index),
                boxes=images.boxes(index),
            ),
        )
        return DiscoveryInputs(images=made, patch_size=sets.store.model.patch_size)

    return Prepared(
        load=load,
        digest=images.digest,
        images=len(images),
        bytes=sets.store.patch_bytes(patches),
    )


def _video(sets: EvaluationSets, name: str) -> Prepared:
    frames = sets.videos(name)
    transform = sets.store.frame
    patches = sum(rows * columns for rows, columns in patch_grids(frames, transform))
    names, starts = frames.sequences.names, frames.sequences.starts

    def load() -> VideoInputs:
        tokens = sets.store.native(frames, transform, kind="patches")

        def video(index: int) -> Video:
            start, stop = starts[index], starts[index + 1]
            grids = set(tokens.grids[start:stop])
            if len(grids) > 1:
                raise ValueError(f"{sets.root(name)}: frames of {names[index]} have several sizes")
            return Video(
                name=names[index],
                patches=tokens.rows(start, stop).unflatten(0, (stop - start, -1)),
                grid=tokens.grids[start],
                masks=frames.masks(start, stop),
            )

        return VideoInputs(videos=Lazy(len(names), video), patch_size=sets.store.model.patch_size)

    return Prepared(
        load=load,
        digest=frames.digest,
        images=len(frames),
        bytes=sets.store.patch_bytes(patches),
    )


KINDS: dict[Kind, KindOfInputs] = {
    "classification": KindOfInputs(("classification",), _classification),
    "segmentation": KindOfInputs(("segmentation",), _segmentation),
    "novelty": KindOfInputs(("novel",), _novelty),
    "discovery": KindOfInputs(("segmentation", "detection"), _discovery),
    "video": KindOfInputs(("video",), _video),
}


def check_task(benchmark: Benchmark, sets: EvaluationSets, name: str) -> None:
    """Refuse a benchmark on a set that cannot be prepared for it.

    Raises:
        ValueError: the set is of another kind, or there is none of this name.
    """
    wanted, found = KINDS[benchmark.kind].set_kinds, sets.declared(name).kind
    if found not in wanted:
        raise ValueError(
            f"evaluate.tasks runs {benchmark.name} on {name}, a {found} set: "
            f"it needs a {' or '.join(wanted)} set"
        )
