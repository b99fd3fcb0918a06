"""k-NN classification beside its peers: the exact search and the vote.

    python benchmarks/knn.py [--bank 50000] [--queries 2500] [--dim 384] [--rounds 5]

One thread, CPU time, all forms in turn, the median of the ratios within a round. Printed:

    search   cosine_search as it chooses its form, and its form for processors without bfloat16,
             beside faiss' flat inner-product index, normalising and adding included, and
             scikit-learn's brute-force cosine neighbours: CPU time ratio, and recall of the
             neighbours that float64 finds, ties within rounding counted as found
    vote     beside the form of DINO's script, which multiplies one-hot labels

Exits with 1 unless recall of both forms is 1.000, both are no slower than faiss (within 5 %, the
noise of a shared machine) and 3 times as fast as scikit-learn, and the vote 30 times as fast as the
one-hot form.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import faiss
import torch
from measuring import in_turn, paired_ratio
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from franca.eval.knn import vote
from franca.eval.neighbours import cosine_search, single_precision_search

NEIGHBOURS = 20
BLOCK = 16384
CLASSES = 1000
TEMPERATURE = 0.07
NO_SLOWER = 0.95  # the noise of a shared machine: one form multiplies by faiss itself
CPU = torch.device("cpu")


def clouds(bank: int, queries: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return features of images of so many classes, and the labels of the bank's."""
    source = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, dim, generator=source)
    labels = torch.randint(CLASSES, (bank + queries,), generator=source)
    points = centres[labels] + 1.5 * torch.randn(bank + queries, dim, generator=source)
    return points[:bank], points[bank:], labels[:bank]


def one_hot_vote(similarity: Tensor, labels: Tensor) -> Tensor:
    """The peer: DINO's knn_classifier (facebookresearch/dino, eval_knn.py), its arithmetic."""
    weights = (similarity / TEMPERATURE).exp()
    return (one_hot(labels, CLASSES).float() * weights[..., None]).sum(1)


def search(form: Callable[..., Any], bank: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Search with one form of ours."""
    found: tuple[Tensor, Tensor] = form(
        queries, bank, neighbours=NEIGHBOURS, block=BLOCK, device=CPU
    )
    return found


def faiss_flat(bank: Tensor, queries: Tensor) -> Any:
    """The peer: features as they are to neighbours by cosine."""
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(normalize(bank, dim=1).numpy())
    return index.search(normalize(queries, dim=1).numpy(), NEIGHBOURS)


def recall(index: Tensor, queries: Tensor, bank: Tensor) -> float:
    """Return the share of ours that float64 has among its nearest, up to rounding in float32."""
    exact = normalize(queries.double(), dim=1) @ normalize(bank.double(), dim=1).T
    last = exact.topk(NEIGHBOURS, dim=1).values[:, -1:]
    return float((exact.gather(1, index) >= last - 1e-6).double().mean())


def main() -> int:
    """Run the comparison and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("bank", 50000), ("queries", 2500), ("dim", 384), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    bank, queries, labels = clouds(options.bank, options.queries, options.dim)
    brute = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute", metric="cosine", n_jobs=1)
    brute.fit(bank.numpy())

    found = in_turn(
        {
            "ours": partial(search, cosine_search, bank, queries),
            "single precision": partial(search, single_precision_search, bank, queries),
            "faiss flat": partial(faiss_flat, bank, queries),
            "scikit-learn": lambda: brute.kneighbors(queries.numpy()),
        },
        rounds=options.rounds,
    )
    print(f"search {options.queries} x {options.bank} x {options.dim}, nearest {NEIGHBOURS}")
    passed = True
    for form, function in (("ours", cosine_search), ("single precision", single_precision_search)):
        similarity, index = search(function, bank, queries)
        share = recall(index[:500], queries[:500], bank)
        to_faiss, to_sklearn = (
            paired_ratio(found[peer], found[form]) for peer in ("faiss flat", "scikit-learn")
        )
        print(
            f"  {form:16} {statistics.median(found[form]):.2f} s of CPU time, recall {share:.4f}; "
            f"faiss flat takes {to_faiss:.2f} times as long, scikit-learn {to_sklearn:.2f} times"
        )
        passed &= share == 1 and to_faiss >= NO_SLOWER and to_sklearn >= 3

    voters = labels[index]
    forms: dict[str, Callable[[], Any]] = {
        "ours": lambda: vote(
            similarity,
            voters,
            counts=[NEIGHBOURS],
            temperature=TEMPERATURE,
            num_classes=CLASSES,
        ),
        "one-hot": lambda: one_hot_vote(similarity, voters),
    }
    found = in_turn(forms, rounds=options.rounds)
    to_one_hot = paired_ratio(found["one-hot"], found["ours"])
    print(f"vote: the one-hot form takes {to_one_hot:.1f} times as long")
    return 0 if passed and to_one_hot >= 30 else 1


if __name__ == "__main__":
    sys.exit(main())
