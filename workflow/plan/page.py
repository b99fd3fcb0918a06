"""The plan as text: what a run trains, how long that takes, what it stores, and on what terms."""

from typing import Any

from franca.models.gpus import Gpu
from workflow.plan.data import (
    DataPlan,
    Range,
    core_hours,
    data_plan,
    highres_plan,
    known_source,
    rates,
    times,
)
from workflow.plan.published import (
    ANSWERING,
    FETCHED_PER_SECOND,
    PAPER_GPU,
    PAPER_GPU_HOURS,
)
from workflow.plan.rates import MACHINE, PACK_HIGHRES, Rate
from workflow.plan.text import between, count, digits, note, scaled, share, table
from workflow.plan.training import USABLE, Phase, fewest_gpus, memory, phases, published_bytes

_GIGA = 1e9
_LINK = 1e10  # bits per second
_DAY = 86400  # seconds


def describe(
    parameters: Any, *, scale: str, variant: str, gpu: Gpu, num_gpus: int, utilisation: float
) -> str:
    """Return the whole plan, aligned.

    Args:
        parameters: what `workflow.params.resolve` returned.
        scale: its name.
        variant: its name.
        gpu: what it is to run on.
        num_gpus: of them.
        utilisation: share of the GPU's peak that the counted operations reach.
    """
    parts = phases(parameters)
    compared = _paper(parts, PAPER_GPU_HOURS.get((scale, variant)), gpu, utilisation)
    blocks = [
        [f"plan of scale {scale}, variant {variant}; nothing has been run"],
        _model(parts[0]),
        _training(parts, gpu=gpu, num_gpus=num_gpus, utilisation=utilisation),
        compared,
        _memory(parts, gpu=gpu, num_gpus=num_gpus),
        _data(parameters),
        _work(parameters),
        _storage(parameters),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _model(first: Phase) -> list[str]:
    step = first.step
    arch = step.arch
    heads = {"DINO": step.dino_head, "iBOT": step.ibot_head}
    rows = [
        ["model", "parameters", ""],
        [f"{arch.name} at {step.global_size} px", scaled(step.backbone_parameters, ""), ""],
        *(
            [
                f"{name} head, levels: {len(head.levels)}",
                scaled(head.parameters, ""),
                f"{count(head.prototypes)} prototypes",
            ]
            for name, head in heads.items()
        ),
        ["student", scaled(step.backbone_parameters + step.head_parameters, ""), ""],
    ]
    return [*table(rows), "The teacher has as many."]


def _training(parts: list[Phase], *, gpu: Gpu, num_gpus: int, utilisation: float) -> list[str]:
    hours = [part.gpu_hours(gpu, utilisation=utilisation) for part in parts]
    speed = [part.images_per_second(gpu, utilisation=utilisation) for part in parts]
    images = [part.images for part in parts]
    rows = [
        ["training", *(part.name for part in parts), "all"],
        ["updates", *(count(part.steps) for part in parts), count(sum(p.steps for p in parts))],
        ["images per update", *(count(part.batch_size) for part in parts), ""],
        ["images", *(scaled(number, "") for number in images), scaled(sum(images), "")],
        *(
            [f"GFLOP per image, {name}", *(digits(p.step.flops[name] / _GIGA) for p in parts), ""]
            for name in parts[0].step.flops
        ),
        ["GFLOP per image", *(digits(part.flops_per_image / _GIGA) for part in parts), ""],
        ["images/s per GPU", *(digits(value) for value in speed), ""],
        ["GPU-hours", *(digits(value) for value in hours), digits(sum(hours))],
        ["days", *(digits(h / num_gpus / 24) for h in hours), digits(sum(hours) / num_gpus / 24)],
    ]
    step = parts[0].step
    return [
        *table(rows),
        *note(
            f"On {num_gpus} x {gpu.name} at {utilisation:.0%} of {gpu.peak / 1e12:.0f} TFLOP/s "
            "(bf16), with nothing lost to reading or waiting. "
            "Counted: matrix products and convolutions, without what stochastic depth skips, of "
            "the teacher forward and the student forward and backward; "
            f"{step.num_local} local crops; heads on CLS tokens and masked patches "
            f"({digits(step.masked)} an image in pretrain). Not counted: RASA and evaluation."
        ),
    ]


def _paper(parts: list[Phase], published: float | None, gpu: Gpu, utilisation: float) -> list[str]:
    """Compare with the paper's GPU-hours; nothing for a scale that the paper does not have."""
    if published is None:
        return []
    ours = sum(part.gpu_hours(gpu, utilisation=utilisation) for part in parts)
    at_peak = sum(part.gpu_hours(PAPER_GPU, utilisation=1) for part in parts)
    rows = [
        ["GPU-hours", "ours", "paper's", "ratio"],
        [f"all training, {gpu.name}", digits(ours), count(published), f"{ours / published:.2f}"],
    ]
    return [
        *table(rows),
        *note(
            f"The paper's are of {PAPER_GPU.name} (Table 8) and taken to include fine-tuning: "
            f"{at_peak / published:.1%} utilisation on our count."
        ),
    ]


def _memory(parts: list[Phase], *, gpu: Gpu, num_gpus: int) -> list[str]:
    rows = [
        ["GB per GPU", "images", "state", "working", "activations", "targets", "all", "of memory"]
    ]
    for sharded in (False, True) if num_gpus > 1 else (False,):
        kind = "sharded" if sharded else "replicated"
        for part in parts:
            one = memory(part, num_gpus=num_gpus, sharded=sharded)
            amounts = [one.state, one.working, one.activations, one.targets, one.total]
            rows.append(
                [
                    f"{part.name}, {kind}",
                    count(-(-part.batch_size // num_gpus)),
                    *(digits(amount / _GIGA) for amount in amounts),
                    f"{one.total / gpu.memory:.0%}",
                ]
            )
    fewest = fewest_gpus(parts, gpu)
    fits = f"with {fewest} GPUs or more" if fewest else "on no number of GPUs"
    return [
        *table(rows),
        *note(
            "State: weights, gradients, two moments and teacher in fp32. Working: the student "
            "but for its prototypes in bf16, those in fp32. Targets: the teacher's logits, twice. "
            f"An estimate, without recomputation: sharded, all fits into {USABLE:.0%} of "
            f"{gpu.memory / _GIGA:.0f} GB {fits}."
        ),
    ]


def _data(parameters: Any) -> list[str]:
    source = known_source(parameters)
    if source is None:
        kind = parameters.fetch_metadata.source.kind
        return [f"data: a source of kind {kind}, whose size fetch_metadata finds out"]
    plan = data_plan(parameters, source)
    rows = [
        ["data", ""],
        ["rows of the source", count(plan.rows)],
        ["pass the metadata filters", between(*plan.attempted, "")],
        ["arrive", between(*plan.arrived, "")],
        ["images of the paper", count(plan.wanted)],
    ]
    if plan.fetched is not None:
        rows.append(["attempts for as many", between(*plan.needed, "")])
    highres = highres_plan(parameters)
    if highres is not None:
        rows.append(["images in pack_highres", count(highres.images)])
    if plan.fetched is None:
        return [*table(rows), "A local source: nothing is fetched, and every image arrives."]
    return [*table(rows), *_network(plan, plan.fetched, image_bytes=source.image_bytes)]


def _network(plan: DataPlan, fetched: Range, *, image_bytes: float) -> list[str]:
    days = times(fetched, 8 / _LINK / _DAY)
    machine_days = times(plan.attempted, 1 / FETCHED_PER_SECOND / _DAY)
    return note(
        f"Assumed: {share(*plan.passing)} of the rows pass, {share(*ANSWERING)} of the addresses "
        f"answer, with {scaled(image_bytes, 'B')} each. Fetched: {between(*fetched, 'B')}, "
        f"{between(*days, 'days')} at 10 Gbit/s and {between(*machine_days, 'days')} of a machine "
        f"at {count(FETCHED_PER_SECOND)} addresses a second (img2dataset, 16 cores)."
    )


def _work(parameters: Any) -> list[str]:
    """Core-hours and memory of the data stages; nothing where the source's size is unknown."""
    source = known_source(parameters)
    if source is None:
        return []
    plan = data_plan(parameters, source)
    hours, speed = core_hours(plan), rates(plan)
    highres = highres_plan(parameters)
    if highres is not None:
        hours["pack_highres"] = (highres.core_hours, highres.core_hours)
        speed["pack_highres"] = PACK_HIGHRES
    groups = parameters.fetch_metadata.groups
    rows = [["work of the data stages", "a core, a second", "core-hours", "MB a job"]]
    rows += [
        [
            name,
            _speed(rate),
            between(*hours[name], ""),
            digits(rate.megabytes),
        ]
        for name, rate in speed.items()
        if hours[name][1] > 0
    ]
    total = (sum(low for low, _ in hours.values()), sum(high for _, high in hours.values()))
    rows.append(["all", "", between(*total, ""), ""])
    return [
        *table(rows),
        *note(
            f"In {groups} groups, each a job of one core; gathering, pack_shards and pack_highres "
            f"are one job. Rates and memory: our benchmarks (docs/log.md), {MACHINE}; downloading: "
            "img2dataset on the loopback, bound by the network elsewhere. Of deduplicate all but "
            "the signatures is one job, of one core; near pairs are pairs of images whose hashes "
            "share a band, which grow with the square of the images; evaluation images: 700,000 of "
            "them with their crops and mirror images."
        ),
    ]


def _speed(rate: Rate) -> str:
    if rate.unit == "bytes":
        return scaled(rate.per_second, "B")
    return f"{scaled(rate.per_second, '')} {rate.unit}"


def _storage(parameters: Any) -> list[str]:
    source = known_source(parameters)
    plan = None if source is None else data_plan(parameters, source)
    stored = {} if plan is None else plan.stored
    highres = highres_plan(parameters)
    if highres is not None:
        stored["pack_highres"] = (highres.stored, highres.stored)
    stored |= {name: (value, value) for name, value in published_bytes(parameters).items()}
    total = (sum(low for low, _ in stored.values()), sum(high for _, high in stored.values()))
    rows = [["storage", ""], *([name, between(*value, "B")] for name, value in stored.items())]
    images = (
        "The data stages are not in it."
        if plan is None
        else f"An image takes {scaled(plan.image_bytes, 'B')}, and none is taken to be dropped by "
        "filter_images or deduplicate."
    )
    return [
        *table([*rows, ["all", between(*total, "B")]]),
        *note(f"Published artefacts; work/ comes on top. {images}"),
    ]
