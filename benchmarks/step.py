"""Goal: an update 1.3 times as fast as its plain form, and as one of lightly's building blocks.

docs/log.md says where it is met.

    python benchmarks/step.py [--rounds 9] [--precision fp32 bf16] [--peer plain lightly]
    python benchmarks/step.py --device cuda [--arch vit_b14 vit_l14] [--images 32]
    python benchmarks/step.py --arch vit_ti14 --images 2 --rounds 1    # the same code on a CPU

On a CPU: vit_ti14 at 2 x 112 + 4 x 56 px, 16 images, 4,096 prototypes, stochastic depth .1, against

    plain      five levels, released heads, the update as one would first write it, which is also
               checked: both have the same loss. Sinkhorn-Knopp
    lightly    one level, `pip install --no-deps lightly==1.6.0` beside the `dev` extra; ours then
               has one level and centring as well

One thread and one process for each form, steps interleaved, process CPU time, median of paired
ratios, and what the ratio would be if our update consisted of its matrix products alone. Exits with
1 when ours is not `--minimum` times as fast, or its loss differs.

On a GPU, in bf16: images a second of our update and of its plain form, their share of what the GPU
can multiply (our operations, `franca.ssl.cost`), and the most memory in use; global crops of 224 px
and 8 local ones of 98, five levels of up to 131,072 prototypes.
"""

import argparse
import functools
import gc
import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from step_forms import Form, Ours, Plain, build_recipe, draw_views
from step_lightly import Lightly
from torch.profiler import ProfilerActivity, profile

from franca.config.pretrain import Recipe
from franca.models.archs import ARCHS
from franca.models.gpus import peak_of
from franca.train.cost import step_cost
from franca.train.precision import training_device

SMALL = (
    "model.arch=vit_ti14",
    "augment.global_crops.size=112",
    "augment.local_crops={size: 56, count: 4}",
    "masking.ratio=[0.1, 0.5]",
    "global_batch_size=16",
    "images_per_group=null",
    *(
        f"{head}.{setting}"
        for head in ("dino_head", "ibot_head")
        for setting in ("num_prototypes=4096", "bottleneck_dim=256")
    ),
)
RELEASED = tuple(
    f"{head}.{setting}"
    for head in ("dino_head", "ibot_head")
    for setting in ("mode=project", "normalization=franca_release")
)
ONE_LEVEL = (
    "dino_head.levels=[1.0]",
    "ibot_head.levels=[1.0]",
    "objective.targets=centering",
)
PEERS = {"plain": RELEASED, "lightly": ONE_LEVEL}
FORMS: dict[str, Callable[[Recipe], Form]] = {"ours": Ours, "plain": Plain, "lightly": Lightly}
PRODUCTS = (
    "aten::mm",
    "aten::addmm",
    "aten::addmm_",
    "aten::bmm",
    "aten::mkldnn_convolution",
    "aten::convolution_backward",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
)
BATCHES = 4
WARM_UP = 8
"""Updates until a process on a CPU has all the memory that it will ever need."""


def work(form: str, settings: tuple[str, ...], channel: "Connection[Any, Any]") -> None:
    """Answer with the first loss, then with what is asked for: `step`, `share` or `stop`.

    A step answers with its CPU seconds, `share` with the share of products in a step.
    """
    if form == "ours":
        os.environ["THP_MEM_ALLOC_ENABLE"] = "1"  # as `workflow.execute`, before the first tensor
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = build_recipe(*settings)
    batches = [draw_views(recipe, number) for number in range(BATCHES)]
    made = FORMS[form](recipe)
    channel.send(made.loss(batches[0]).item())
    number = 0
    while (asked := channel.recv()) != "stop":
        run = functools.partial(made.step, batches[number % BATCHES], number)
        channel.send(_cpu_seconds(run) if asked == "step" else _share_of_products(run))
        number += 1


def _cpu_seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _share_of_products(run: Callable[[], None]) -> float:
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    spent: dict[str, float] = {
        event.key: event.self_cpu_time_total for event in profiled.key_averages()
    }
    return sum(spent.get(name, 0) for name in PRODUCTS) / sum(spent.values())


class Worker:
    """A form in a process of its own, so that neither meets the memory that the other left."""

    def __init__(self, form: str, settings: tuple[str, ...]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.channel, theirs = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(form, settings, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.first_loss: float = self.channel.recv()

    def ask(self, what: str) -> float:
        """Return the answer, see `work`."""
        self.channel.send(what)
        answer: float = self.channel.recv()
        return answer

    def stop(self) -> None:
        """End the process."""
        self.channel.send("stop")
        self.process.join()


def compare(peer: str, precision: str, *, rounds: int, minimum: float) -> bool:
    """Print the speeds of both forms; return whether ours is fast enough and right."""
    settings = (*SMALL, *PEERS[peer], f"run.precision={precision}")
    workers = [Worker("ours", settings), Worker(peer, settings)]
    seconds: list[list[float]] = [[], []]
    for number in range(WARM_UP + rounds):
        for worker, taken in zip(workers, seconds, strict=True):
            spent = worker.ask("step")
            if number >= WARM_UP:
                taken.append(spent)
    # The most of several: the profiler asks for memory too.
    share = max(workers[0].ask("share") for _ in range(BATCHES))
    for worker in workers:
        worker.stop()
    ours, theirs = seconds
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    images = [16 / statistics.median(taken) for taken in seconds]
    print(
        f"{precision}  ours {images[0]:6.2f}  {peer:8} {images[1]:6.2f} images/s  "
        f"ratio {ratio:.2f} (at least {minimum}; {ratio / share:.2f} if all but our products cost "
        f"nothing)",
        end="",
    )
    same = True
    if peer == "plain":
        mine, other = (worker.first_loss for worker in workers)
        tolerance = 1e-5 if precision == "fp32" else 1e-2
        same = math.isclose(mine, other, rel_tol=tolerance)
        print(f"  losses {mine:.5f}, {other:.5f} (within {tolerance:g})", end="")
    passed = ratio >= minimum and same
    print("  pass" if passed else "  FAIL", flush=True)
    return passed


def measure(arch: str, form: str, *, images: int, rounds: int) -> float | None:
    """Print images a second, utilisation and memory of a form's updates at the paper's sizes.

    Returns:
        Images a second, or None where the device has too little memory.
    """
    recipe = build_recipe(
        f"model.arch={arch}",
        f"model.drop_path={0.4 if arch in ('vit_l14', 'vit_g14') else 0.1}",
        *RELEASED,
        f"global_batch_size={images}",
        "images_per_group=null",
        "run.precision=bf16",
    )
    on_gpu = training_device().type == "cuda"
    if on_gpu:
        gc.collect()  # what the form before left
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        made = FORMS[form](recipe)
        batches = [draw_views(recipe, number) for number in range(BATCHES)]
        seconds = [
            _seconds(functools.partial(made.step, batches[number % BATCHES], number))
            for number in range(WARM_UP + rounds)
        ][WARM_UP:]
    except torch.OutOfMemoryError:
        print(f"{arch} {form}: {images} images do not fit", flush=True)
        return None
    speed = images / statistics.median(seconds)
    flops = speed * sum(step_cost(recipe).flops.values())
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    peak = peak_of(name)
    share = f" ({flops / peak:.1%} of its peak)" if peak else ""
    memory = (
        torch.cuda.max_memory_allocated()
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of all forms so far
    )
    print(
        f"{arch} {form:5} {name}: {speed:.2f} images/s, {flops / 1e12:.2f} TFLOP/s{share}, "
        f"at most {memory / 1e9:.1f} GB with {images} images",
        flush=True,
    )
    return speed


def _seconds(run: Callable[[], None]) -> float:
    on_gpu = training_device().type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_all(archs: Sequence[str], *, images: int, rounds: int) -> None:
    """Measure our update and its plain form, one after the other; print the ratio."""
    for arch in archs:
        ours, plain = (
            measure(arch, form, images=images, rounds=rounds) for form in ("ours", "plain")
        )
        if ours and plain:
            print(f"{arch} ours is {ours / plain:.2f} times as fast", flush=True)


def main() -> int:
    """Measure what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=9, help="measured updates of each form")
    parser.add_argument(
        "--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"]
    )
    parser.add_argument("--peer", nargs="+", choices=list(PEERS), default=["plain"])
    parser.add_argument("--minimum", type=float, default=1.3, help="ratio that must be reached")
    parser.add_argument("--arch", nargs="+", choices=list(ARCHS), help="at the paper's sizes")
    parser.add_argument("--images", type=int, default=32, help="of a batch at the paper's sizes")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any process asks for a GPU
    elif not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU")
    if arguments.device == "cuda" or arguments.arch:
        archs = arguments.arch or ["vit_b14", "vit_l14"]
        measure_all(archs, images=arguments.images, rounds=arguments.rounds)
        return 0
    results = [
        compare(peer, precision, rounds=arguments.rounds, minimum=arguments.minimum)
        for peer in arguments.peer
        for precision in arguments.precision
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
