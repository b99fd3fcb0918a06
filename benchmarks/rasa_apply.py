"""Applying RASA: the folded rank-k map against the per-round form, in the same run.

    python benchmarks/rasa_apply.py [--minimum 20]

8 x 1369 tokens (a 518-pixel image has 37 x 37 patches) of 768 channels, 8 rounds, one thread.
Process CPU time, forms interleaved, median of paired ratios. Peers:

    published  the released head's arithmetic, round by round, with its temporaries
    lean       the same rounds as two matrix-vector products and one subtraction each
    dense      the exact affine layer, one D x D product
    folded     z - (z A) B

Exits with 1 when folded is not `--minimum` times faster than the published form, or not equal.
"""

import argparse
import statistics
import sys
from collections.abc import Callable

import torch
from measuring import in_turn, paired_ratio
from torch import Tensor

from franca.rasa.head import plane_of, remove_plane
from franca.rasa.linear_map import compose_planes

IMAGES, TOKENS, DIM, ROUNDS = 8, 1369, 768, 8


def published(features: Tensor, planes: list[Tensor]) -> Tensor:
    """Spread each direction over all tokens, multiply, sum, multiply, subtract (rasa_head.py)."""
    for plane in planes:
        row, column = (u.repeat(*features.shape[:2], 1) for u in plane)
        along_row = (features * row).sum(-1).unsqueeze(-1) * row
        along_column = (features * column).sum(-1).unsqueeze(-1) * column
        features = features - (along_row + along_column)
    return features


def lean(features: Tensor, planes: list[Tensor]) -> Tensor:
    """Remove one plane after another without needless copies."""
    for plane in planes:
        features = remove_plane(features, plane)
    return features


def main() -> int:
    """Print milliseconds, ratios and differences; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minimum", type=float, default=20.0, help="smallest ratio that passes")
    parser.add_argument("--repeats", type=int, default=9, help="paired measurements")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    planes = [plane_of(torch.randn(2, DIM, generator=draw)).float() for _ in range(ROUNDS)]
    features = torch.randn(IMAGES, TOKENS, DIM, generator=draw)
    folded = compose_planes(planes, metadata={})
    weight, bias = folded.matrix().T.float(), folded.offset().float()
    forms: dict[str, Callable[[], Tensor]] = {
        "published": lambda: published(features, planes),
        "lean": lambda: lean(features, planes),
        "dense": lambda: torch.nn.functional.linear(features, weight, bias),
        "folded": lambda: folded(features),
    }
    with torch.no_grad():
        reference = forms["published"]()
        difference = {name: (form() - reference).abs().max().item() for name, form in forms.items()}
        seconds = in_turn(forms, rounds=arguments.repeats)
    ratio = {name: paired_ratio(times, seconds["folded"]) for name, times in seconds.items()}
    print(f"{'form':10} {'CPU ms':>9} {'x folded':>9} {'max |difference|':>17}")
    for name, times in seconds.items():
        print(
            f"{name:10} {1000 * statistics.median(times):9.1f} {ratio[name]:9.1f} "
            f"{difference[name]:17.1e}"
        )
    passed = ratio["published"] >= arguments.minimum and max(difference.values()) <= 1e-5
    print("pass" if passed else "FAIL", f"(minimum {arguments.minimum:g}, tolerance 1e-5)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
