"""Claim: Sinkhorn-Knopp takes two thirds of the time of its plain form, and never overflows.

    python benchmarks/sinkhorn.py [--rows 1024] [--prototypes 16384] [--rounds 9]

Three iterations; one thread, process CPU time, forms interleaved, median of paired ratios.

    plain   exponentials of all logits, then rows and columns divided by their sums, as in SwAV,
            DINOv2 and Franca: the matrix is rewritten six times
    ours    franca.losses.sinkhorn: two vectors scale the matrix, which stays as it is

Logits of standard deviation 0.06, like cosines in 256 dimensions, take the fast path; those of 6
take the path with shifts, where the plain form is not finite; the temperature is 0.04. The truth is
the plain form in float64, in logarithms.
Exits with 1 when a target is missed.
"""

import argparse
import statistics
import sys
from functools import partial

import torch
from measuring import in_turn, paired_ratio
from torch import Tensor

from franca.losses.sinkhorn import sinkhorn_knopp

ITERATIONS = 3


def plain(logits: Tensor, temperature: float) -> Tensor:
    """Rewrite the matrix: columns to equal sums, rows to 1."""
    q = torch.exp(logits / temperature)
    q /= q.sum()
    for _ in range(ITERATIONS):
        q /= q.sum(dim=0, keepdim=True)
        q /= q.shape[1]
        q /= q.sum(dim=1, keepdim=True)
        q /= q.shape[0]
    return q * q.shape[0]


def ours(logits: Tensor, temperature: float) -> Tensor:
    """Call what training calls, on one matrix."""
    return sinkhorn_knopp([logits], temperature=temperature, iterations=ITERATIONS)[0]


def truth(logits: Tensor, temperature: float) -> Tensor:
    """Return the same in float64, in logarithms."""
    q = logits.double() / temperature
    for _ in range(ITERATIONS):
        q = q - q.logsumexp(dim=0, keepdim=True)
        q = q - q.logsumexp(dim=1, keepdim=True)
    return q.exp()


def main() -> int:
    """Print times, ratios and errors; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--prototypes", type=int, default=16384, help="of one level")
    parser.add_argument("--rounds", type=int, default=9, help="paired measurements")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    normal = torch.randn(arguments.rows, arguments.prototypes, generator=draw)
    passed = True
    for name, std, temperature, least in (("fast", 0.06, 0.04, 1.5), ("shifted", 6.0, 0.04, None)):
        logits = std * normal
        forms = {form.__name__: partial(form, logits, temperature) for form in (plain, ours)}
        seconds = in_turn(forms, rounds=arguments.rounds)
        faster = paired_ratio(seconds["plain"], seconds["ours"])
        error = (ours(logits, temperature) - truth(logits, temperature)).abs().max().item()
        finite = bool(plain(logits, temperature).isfinite().all())
        medians = [f"{1e3 * statistics.median(taken):.0f} ms" for taken in seconds.values()]
        print(f"{name}: plain {medians[0]}{'' if finite else ', not finite'}; ours {medians[1]}")
        target = f" (at least {least})" if least else ""
        print(f"  {faster:.2f} times as fast{target}; largest error {error:.1e} (at most 1e-6)")
        passed &= error <= 1e-6 and (least is None or faster >= least)
    print("pass" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
