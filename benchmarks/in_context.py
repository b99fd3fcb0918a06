"""In-context segmentation: search and labels against the bare matrix product, in the same run.

    python benchmarks/in_context.py [--maximum 1.5]

Queries are the patches of one 518-pixel image, the memory holds 40,000 patches in half precision
with the shares of 21 classes, one thread. What is timed:

    product   unit queries times unit memory in single precision, blocks that are thrown away
    search    the 30 nearest by cosine, exact: conversion, norms, products, running top 30
    labels    the search, and the weighted shares of the classes

Process CPU time, forms interleaved, median of paired ratios. Exits with 1 when the labels take more
than `--maximum` times the product, or when the search is not that of the dense matrix.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch
from measuring import in_turn, paired_ratio
from torch import Tensor
from torch.nn.functional import normalize

from franca.eval.in_context import soft_labels
from franca.eval.neighbours import cosine_search

QUERIES, MEMORY, CLASSES, NEIGHBOURS, BLOCK = 1369, 40_000, 21, 30, 16_384
CPU = torch.device("cpu")


def product(queries: Tensor, memory: Tensor) -> None:
    """Multiply block by block, as the search does."""
    for rows in memory.split(BLOCK):
        queries @ rows.T


def is_exact(queries: Tensor, memory: Tensor) -> bool:
    """Compare a part of the blocked search with the dense matrix of similarities."""
    some = queries[:200]
    found, _ = cosine_search(some, memory, neighbours=NEIGHBOURS, block=1000, device=CPU)
    dense = normalize(some, dim=1) @ normalize(memory.float(), dim=1).T
    return torch.allclose(found, dense.topk(NEIGHBOURS, dim=1).values, atol=1e-5)


def main() -> int:
    """Print seconds and ratios; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maximum", type=float, default=1.5, help="largest ratio that passes")
    parser.add_argument("--repeats", type=int, default=5, help="paired measurements")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = torch.Generator().manual_seed(0)
    passed = True
    for dim in (384, 768, 1024):
        queries = torch.randn(QUERIES, dim, generator=source)
        memory = torch.randn(MEMORY, dim, generator=source).half()
        labels = torch.rand(MEMORY, CLASSES, generator=source)
        unit = [normalize(part.float(), dim=1) for part in (queries, memory)]
        search = partial(cosine_search, neighbours=NEIGHBOURS, block=BLOCK, device=CPU)
        mix = partial(soft_labels, temperature=0.02, neighbours=NEIGHBOURS, block=BLOCK, device=CPU)
        forms: dict[str, Callable[[], object]] = {
            "product": partial(product, *unit),
            "search": partial(search, queries, memory),
            "labels": partial(mix, queries, memory, labels),
        }
        taken = in_turn(forms, rounds=arguments.repeats)
        for name, seconds in taken.items():
            ratio = paired_ratio(seconds, taken["product"])
            median = statistics.median(seconds)
            print(f"{dim:5} channels  {name:8} {median:7.2f} s  {ratio:5.2f} x the product")
        passed &= ratio <= arguments.maximum and is_exact(queries, memory)
    print(f"limit {arguments.maximum:g} x: {'held' if passed else 'MISSED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
