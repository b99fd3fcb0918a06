"""Kinds of benchmark: which sets each can use, and how a set is prepared for it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from franca.config.evaluation_sets import EvaluationSet
from franca.eval import geometry_store, object_store
from franca.eval.benchmark import Benchmark, Kind, NovelImages, NoveltyInputs
from franca.eval.inputs.contracts import RetrievalInputs
from franca.eval.inputs.probe import AcceptedLabels, probe_inputs
from franca.eval.inputs.rendered_views import RenderedViews
from franca.eval.inputs.retrieval import descriptors
from franca.eval.inputs.sets import EvaluationSets, Prepared
from franca.eval.native import NativeTransform, SizedImages, patch_grids
from franca.eval.store import FeatureStore, Space


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
    train, test = sets.classified(name)
    images = len(train) + len(test)
    return Prepared(
        load=lambda: sets.store.classification(train, test),
        scored=(test,),
        images=images,
        input_size=(sets.store.crop.size,) * 2,
        space=Space(sets.store.image_bytes(images)),
        learnt={"train": train},
    )


def _fine_grained(sets: EvaluationSets, name: str) -> Prepared:
    train, test = sets.classified(name)
    validation = sets.validation(name)
    crop = sets.store.whole_crop
    images = len(train) + len(test) + (0 if validation is None else len(validation))
    return Prepared(
        load=lambda: sets.store.classification(train, test, validation=validation, crop=crop),
        scored=(test,),
        images=images,
        input_size=(crop.size,) * 2,
        space=Space(sets.store.image_bytes(images)),
        learnt={"train": train} | ({} if validation is None else {"validation": validation}),
        address={"crop": asdict(crop)},
    )


def _probe(sets: EvaluationSets, name: str) -> Prepared:
    train, test = sets.classified(name)
    return Prepared(
        load=lambda: probe_inputs(sets.store, train, test, test, accepted=None),
        scored=(test,),
        images=len(test),
        input_size=(sets.store.crop.size,) * 2,
        space=Space(sets.store.image_bytes(len(test))),
        learnt={"train": train},
    )


def _shifted(sets: EvaluationSets, name: str) -> Prepared:
    known = sets.declared(name).known_set or ""
    train, validation = sets.classified(known)
    scored = sets.shifted(name)
    accepted = scored.accepted if isinstance(scored, AcceptedLabels) else None
    return Prepared(
        load=lambda: probe_inputs(sets.store, train, validation, scored, accepted=accepted),
        scored=(scored,),
        images=len(validation) + len(scored),
        input_size=(sets.store.crop.size,) * 2,
        space=Space(sets.store.image_bytes(len(validation) + len(scored))),
        learnt={"train": train, "validation": validation},
    )


def _retrieval(sets: EvaluationSets, name: str) -> Prepared:
    found, store = sets.retrieved(name), sets.store
    images = len(store.retrieval_sides) * (len(found.queries) + len(found.database))
    return Prepared(
        load=lambda: RetrievalInputs(
            queries=descriptors(store, found.queries),
            database=descriptors(store, found.database),
            relevant=found.relevant,
        ),
        scored=(found,),
        images=images,
        input_size=(store.retrieval_sides[0],) * 2,
        space=Space(store.image_bytes(images)),
        address={"retrieval_sides": list(store.retrieval_sides)},
    )


def _segmentation(sets: EvaluationSets, name: str) -> Prepared:
    declared = sets.declared(name)
    train, test = (sets.segmented(name, test=flag) for flag in (False, True))
    images = len(train) + len(test)
    return Prepared(
        load=lambda: sets.store.segmentation(
            train,
            test,
            num_classes=declared.num_classes or 0,
            ignore_index=declared.ignore_index or 0,
        ),
        scored=(test,),
        images=images,
        input_size=(sets.store.square.size,) * 2,
        space=sets.store.space(*(sets.store.dense_bytes(len(each)) for each in (train, test))),
        learnt={"train": train},
        address=_classes(declared),
    )


def _classes(declared: EvaluationSet) -> dict[str, Any]:
    return declared.model_dump(include={"num_classes", "ignore_index"})


def _pictures(sets: EvaluationSets, name: str) -> Prepared:
    declared, store = sets.declared(name), sets.store
    train, test = (sets.segmented(name, test=flag) for flag in (False, True))
    return Prepared(
        load=lambda: store.pictures(
            train,
            test,
            num_classes=declared.num_classes or 0,
            ignore_index=declared.ignore_index or 0,
        ),
        scored=(test,),
        images=len(train) + len(test),
        input_size=(store.square.size,) * 2,
        space=Space(0),
        learnt={"train": train},
        address=_classes(declared),
    )


def _novelty(sets: EvaluationSets, name: str) -> Prepared:
    known = _classification(sets, name)
    novel = {
        other: sets.labelled(other, test=True)
        for other, declared in sets.all.items()
        if (declared.kind, declared.known_set) == ("novel", name)
    }
    validation = [found for other in novel if (found := sets.validation(other)) is not None]
    images = sum(map(len, [*novel.values(), *validation]))

    def load() -> NoveltyInputs:
        found = (
            NovelImages(other, sets.declared(other).group or "far", sets.store.cls_tokens(each))
            for other, each in novel.items()
        )
        chosen_on = [sets.store.cls_tokens(each) for each in validation]
        return NoveltyInputs(
            known=known.inputs,
            novel=tuple(found),
            validation=torch.cat(chosen_on) if chosen_on else None,
        )

    return Prepared(
        load=load,
        scored=(*known.scored, *novel.values()),
        images=known.images + images,
        input_size=known.input_size,
        space=Space(known.space.stored + sets.store.image_bytes(images)),
        learnt=known.learnt,
        address={
            "novel": {other: sets.declared(other).group for other in novel},
            "validation": [each.digest for each in validation],
        },
    )


def _pairs(sets: EvaluationSets, name: str, *, raw: bool) -> Prepared:
    images, store = sets.paired(name), sets.store
    transform = object_store.pair_square(store)
    return _native(store, images, transform, lambda: object_store.pairs(store, images, raw=raw))


def _discovery(sets: EvaluationSets, name: str) -> Prepared:
    images, store = sets.boxed(name), sets.store
    transform = object_store.padded(store)
    return _native(store, images, transform, lambda: object_store.discovery(store, images))


def _geometry(sets: EvaluationSets, name: str) -> Prepared:
    train, test = (sets.with_geometry(name, test=flag) for flag in (False, True))
    store, images = sets.store, len(train) + len(test)
    return Prepared(
        load=lambda: geometry_store.geometry(store, train, test),
        scored=(test,),
        images=images,
        input_size=geometry_store.centred(store).input_size(test.size(0)),
        space=store.space(*(geometry_store.layer_bytes(store, each) for each in (train, test))),
        learnt={"train": train},
    )


def _video(sets: EvaluationSets, name: str) -> Prepared:
    frames, store = sets.videos(name), sets.store
    transform = object_store.frame(store)
    return _native(store, frames, transform, lambda: object_store.videos(store, frames))


def _view_pairs(sets: EvaluationSets, name: str) -> Prepared:
    views, store = sets.views(name), sets.store
    transform = geometry_store.centred(store)
    return _native(store, views, transform, lambda: geometry_store.view_pairs(store, views))


def _scenes(sets: EvaluationSets, name: str) -> Prepared:
    views, store = sets.views(name), sets.store
    if not isinstance(views, RenderedViews):
        raise ValueError(f"{name}: novel views need scenes with several views, format 'views'")
    transform = geometry_store.centred(store)
    return _native(store, views, transform, lambda: geometry_store.scenes(store, views))


def _native(
    store: FeatureStore, images: SizedImages, transform: NativeTransform, load: Callable[[], Any]
) -> Prepared:
    """Prepare images of several sizes; for their cost, the middle one stands for all."""
    grids = sorted(patch_grids(images, transform), key=math.prod)
    rows, columns = grids[len(grids) // 2]
    return Prepared(
        load=load,
        scored=(images,),
        images=len(images),
        input_size=(rows * transform.patch_size, columns * transform.patch_size),
        space=store.space(store.native_bytes(images, transform)),
    )


KINDS: dict[Kind, KindOfInputs] = {
    "classification": KindOfInputs(("classification",), _classification),
    "fine_grained": KindOfInputs(("classification",), _fine_grained),
    "probe": KindOfInputs(("classification",), _probe),
    "shifted": KindOfInputs(("shifted",), _shifted),
    "retrieval": KindOfInputs(("retrieval",), _retrieval),
    "segmentation": KindOfInputs(("segmentation",), _segmentation),
    "pictures": KindOfInputs(("segmentation",), _pictures),
    "novelty": KindOfInputs(("classification",), _novelty),
    "pairs": KindOfInputs(("pairs",), partial(_pairs, raw=False)),
    "raw_pairs": KindOfInputs(("pairs",), partial(_pairs, raw=True)),
    "discovery": KindOfInputs(("segmentation", "detection"), _discovery),
    "geometry": KindOfInputs(("geometry", "segmentation"), _geometry),
    "view_pairs": KindOfInputs(("views",), _view_pairs),
    "scenes": KindOfInputs(("views",), _scenes),
    "video": KindOfInputs(("video",), _video),
}


def fits(kind: Kind, declared: Mapping[str, EvaluationSet], name: str) -> bool:
    """Say whether a set can be prepared for a kind of benchmark.

    A set is known to novelty benchmarks by the sets of novel images that name it.
    """
    novel = {other.known_set for other in declared.values() if other.kind == "novel"}
    if kind == "novelty" and name not in novel:
        return False
    return declared[name].kind in KINDS[kind].set_kinds


def check_task(benchmark: Benchmark, sets: EvaluationSets, name: str) -> None:
    """Refuse a benchmark on a set that cannot be prepared for it.

    Raises:
        ValueError: the set is of another kind, no novel set names it as known where one must, or
            there is none of this name.
    """
    wanted, found = KINDS[benchmark.kind].set_kinds, sets.declared(name).kind
    if found not in wanted:
        raise ValueError(
            f"evaluate.tasks runs {benchmark.name} on {name}, a {found} set: "
            f"it needs a {' or '.join(wanted)} set"
        )
    if not fits(benchmark.kind, sets.all, name):
        raise ValueError(
            f"evaluate.tasks runs {benchmark.name} on {name}, but no novel set of evaluation_sets "
            f"has known_set: {name}"
        )
