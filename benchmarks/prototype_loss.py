"""Claim: the streamed prototype loss needs a twentieth of the memory, and hardly more time.

    python benchmarks/prototype_loss.py [--rows 3072] [--prototypes 131072] [--dim 256] [--rounds 3]

Linear layer and cross-entropy against soft targets, forward and backward, with gradients of
embeddings and prototypes; one thread, process CPU time, forms interleaved, median of paired ratios.

    naive      log_softmax of all logits, as autograd does it
    streamed   franca.losses.cross_entropy, at most `MAX_LOGITS` logits at a time

Memory is by how much a forked process grows beyond the inputs; the gradients are in it. Linux only.
Exits with 1 when a target is missed or values differ.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measuring import in_turn, paired_ratio
from torch import Tensor

from franca.losses.cross_entropy import soft_cross_entropy

TEMPERATURE = 0.1
FORK = multiprocessing.get_context("fork")
PAGE = resource.getpagesize()
Result = tuple[Tensor, Tensor, Tensor]


def naive(x: Tensor, prototypes: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Hold all logits, their logarithms of the softmax, and the gradients of both."""
    logits = torch.nn.functional.linear(x / TEMPERATURE, prototypes)
    return -(weights @ (targets * logits.log_softmax(dim=1)).sum(dim=1))


def streamed(x: Tensor, prototypes: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Hold a few rows of logits at a time."""
    return soft_cross_entropy(
        (x, prototypes), targets, row_weights=weights, temperature=TEMPERATURE
    )


def run(form: Callable[..., Tensor], inputs: list[Tensor]) -> Result:
    """Return the loss and both gradients."""
    x, prototypes, targets, weights = inputs
    x, prototypes = (t.detach().requires_grad_() for t in (x, prototypes))
    loss = form(x, prototypes, targets, weights)
    loss.backward()
    assert x.grad is not None
    assert prototypes.grad is not None
    return loss.detach(), x.grad, prototypes.grad


def peak_bytes(form: Callable[..., Tensor], inputs: list[Tensor]) -> int:
    """Return by how much a process of its own grows, at most, while it runs the form."""
    receiver, sender = FORK.Pipe(duplex=False)

    def measure() -> None:
        before = PAGE * int(Path("/proc/self/statm").read_text().split()[1])
        run(form, inputs)
        sender.send(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    process = FORK.Process(target=measure)
    process.start()
    process.join()
    return int(receiver.recv())


def main() -> int:
    """Print memory, time and differences; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3072, help="masked patches of 32 images")
    parser.add_argument("--prototypes", type=int, default=131072, help="of one level")
    parser.add_argument("--dim", type=int, default=256, help="of the bottleneck")
    parser.add_argument("--rounds", type=int, default=3, help="paired measurements")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    shape = arguments.rows, arguments.prototypes
    unit = torch.nn.functional.normalize
    inputs = [
        unit(torch.randn(arguments.rows, arguments.dim, generator=draw)),
        unit(torch.randn(arguments.prototypes, arguments.dim, generator=draw)),
        torch.randn(shape, generator=draw).softmax(dim=1),
        torch.rand(arguments.rows, generator=draw) / arguments.rows,
    ]
    forms = {"naive": naive, "streamed": streamed}
    peaks = {name: peak_bytes(form, inputs) for name, form in forms.items()}
    runs = {name: partial(run, form, inputs) for name, form in forms.items()}
    seconds = in_turn(runs, rounds=arguments.rounds, warm_up=0)
    slower = paired_ratio(seconds["streamed"], seconds["naive"])
    smaller = peaks["streamed"] / peaks["naive"]
    difference = max(
        ((a - b).norm() / b.norm()).item()
        for a, b in zip(runs["streamed"](), runs["naive"](), strict=True)
    )
    for name in forms:
        print(f"{name:9} {statistics.median(seconds[name]):7.2f} CPU-s {peaks[name] / 1e6:9.1f} MB")
    print(f"memory {smaller:.3f} (at most 0.05), time {slower:.2f} (at most 1.1), ", end="")
    print(f"largest relative difference of loss and gradients {difference:.1e} (at most 1e-5)")
    passed = smaller <= 0.05 and slower <= 1.1 and difference <= 1e-5
    print("pass" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
