"""Kinds of benchmark: which sets each can use, and how a set is prepared for it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from franca.eval.benchmark import Benchmark, Kind, NoveltyInputs, RetrievalInputs
from franca.eval.inputs.probe import AcceptedLabels, probe_inputs
from franca.eval.inputs.sets import EvaluationSets, Prepared


@dataclass(frozen=True)
class KindOfInputs:
    """How benchmarks of one kind get what they see.

    Attributes:
        set_kind: the kind of set that can be prepared.
        prepare: from the sets and a name to the inputs.
    """

    set_kind: str
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


def _fine_grained(sets: EvaluationSets, name: str) -> Prepared:
    train, test = (sets.labelled(name, test=flag) for flag in (False, True))
    validation = sets.validation(name)
    crop = sets.store.whole_crop
    images = len(train) + len(test) + (0 if validation is None else len(validation))
    return Prepared(
        load=lambda: sets.store.classification(train, test, validation=validation, crop=crop),
        digest=test.digest,
        images=images,
        bytes=sets.store.image_bytes(images),
        address={"crop": asdict(crop), "validation": validation and validation.digest},
    )


def _probe(sets: EvaluationSets, name: str) -> Prepared:
    train, test = (sets.labelled(name, test=flag) for flag in (False, True))
    return Prepared(
        load=lambda: probe_inputs(sets.store, train, test, test, accepted=None),
        digest=test.digest,
        images=len(train) + len(test),
        bytes=sets.store.image_bytes(len(test)),
    )


def _shifted(sets: EvaluationSets, name: str) -> Prepared:
    known = sets.declared(name).known_set or ""
    train, validation = (sets.labelled(known, test=flag) for flag in (False, True))
    scored = sets.shifted(name)
    accepted = scored.accepted if isinstance(scored, AcceptedLabels) else None
    return Prepared(
        load=lambda: probe_inputs(sets.store, train, validation, scored, accepted=accepted),
        digest=scored.digest,
        images=len(train) + len(validation) + len(scored),
        bytes=sets.store.image_bytes(len(validation) + len(scored)),
        address={"known": [train.digest, validation.digest]},
    )


def _retrieval(sets: EvaluationSets, name: str) -> Prepared:
    found, store = sets.retrieved(name), sets.store
    images = len(store.retrieval_sides) * (len(found.queries) + len(found.database))
    return Prepared(
        load=lambda: RetrievalInputs(
            queries=store.descriptors(found.queries),
            database=store.descriptors(found.database),
            relevant=found.relevant,
        ),
        digest=found.digest,
        images=images,
        bytes=store.image_bytes(images),
        address={"retrieval_sides": list(store.retrieval_sides)},
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


def _pairs(sets: EvaluationSets, name: str, *, raw: bool) -> Prepared:
    images = sets.paired(name)
    return Prepared(
        load=lambda: sets.store.pairs(images, raw=raw),
        digest=images.digest,
        images=len(images),
        bytes=sets.store.pair_bytes(len(images)),
    )


KINDS: dict[Kind, KindOfInputs] = {
    "classification": KindOfInputs("classification", _classification),
    "fine_grained": KindOfInputs("classification", _fine_grained),
    "probe": KindOfInputs("classification", _probe),
    "shifted": KindOfInputs("shifted", _shifted),
    "retrieval": KindOfInputs("retrieval", _retrieval),
    "segmentation": KindOfInputs("segmentation", _segmentation),
    "novelty": KindOfInputs("novel", _novelty),
    "pairs": KindOfInputs("pairs", partial(_pairs, raw=False)),
    "raw_pairs": KindOfInputs("pairs", partial(_pairs, raw=True)),
}


def check_task(benchmark: Benchmark, sets: EvaluationSets, name: str) -> None:
    """Refuse a benchmark on a set that cannot be prepared for it.

    Raises:
        ValueError: the set is of another kind, or there is none of this name.
    """
    wanted, found = KINDS[benchmark.kind].set_kind, sets.declared(name).kind
    if found != wanted:
        raise ValueError(
            f"evaluate.tasks runs {benchmark.name} on {name}, a {found} set: "
            f"it needs a {wanted} set"
        )
