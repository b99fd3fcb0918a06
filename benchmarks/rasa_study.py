"""Four ways to remove position from the tokens of a finished run, at several ranks, in one run.

    python benchmarks/rasa_study.py --scale tiny [--variant franca] [--artifacts artifacts]

Reads the backbone of finetune_highres, the packed shards and the scale's segmentation set, fits
every map on the same views (those of the stage rasa, held in memory before any clock starts) and
prints Markdown: a table of what is left and what it costs, and one of paired differences from no
map, bold where the interval leaves out 0.

    R²           of position on random views of packed images that no map was fitted on, so that no
                 scene's layout helps. Least squares, and ridge (which cannot amplify directions
                 that a map has only weakened), are fitted on other such images; the network on the
                 maps' own, since with fewer it finds little and would flatter every map
    entropy, MI  where clusters of tokens live (benchmark spatial_entropy): of the segmentation set,
                 whose scenes have a layout, and MI again of the views that the maps are fitted on
    energy       mean |z - z'|^2 as a share of mean |z - mean(z)|^2, on the same views as R²
    mIoU, RMSE   of in_context, linear_segmentation and, where the set has it, depth, as evaluated
                 at that scale
    CPU s        of the fit alone, one thread; rounds add up

Intervals are 95 %, value +- 1.96 bootstrap errors over images. Some five CPU minutes at scale tiny.
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rasa_run import CPU, FinishedRun, Retargeted
from torch import Tensor

from franca.eval.benchmark import DenseFeatures, SegmentationInputs
from franca.eval.position import r_squared
from franca.eval.registry import BENCHMARKS
from franca.eval.regression import moments, solve_ridge
from franca.eval.resampling import (
    Evidence,
    Interval,
    Statistic,
    Weights,
    bootstrap,
    normal_interval,
    paired_difference,
    point_estimate,
)
from franca.randomness import numpy_generator
from franca.rasa.batches import iterate
from franca.rasa.closed_form import fit_leace, fit_sal
from franca.rasa.diagnostics import fit_mlp
from franca.rasa.fit import fit_rounds
from franca.rasa.linear_map import LinearMap, compose_planes, identity_map
from franca.rasa.moments import sum_moments
from franca.rasa.targets import fourier, position
from workflow.params import DEFAULT_FILE, read, resolve

ROUNDS = (1, 2, 4, 8)
ORDERS = (None, 2, 3, 4)  # of the Fourier targets; None: row and column alone
NETWORK: dict[str, Any] = {
    "hidden": 256, "num_steps": 2000, "batch_size": 1024, "learning_rate": 2e-3
}  # fmt: skip
RIDGE = 1e-3  # penalty, relative to the mean variance of a channel
CLOSED_FORMS = {"sal": fit_sal, "leace": fit_leace}
DOWNSTREAM = {
    "in-context mIoU": ("in_context", "miou"),
    "linear mIoU": ("linear_segmentation", "miou"),
    "depth RMSE (m)": ("depth", "rmse"),
}
Estimate = tuple[float, Interval]


@dataclass(frozen=True)
class Fitted:
    """A map, how it was asked for, and what its fit took."""

    method: str
    setting: str
    linear_map: LinearMap
    cpu_seconds: float


def fit_all(run: FinishedRun, folder: Path) -> Iterator[Fitted]:
    """Yield no map, then the maps of every method and rank."""
    cfg, batches = run.parameters.rasa.fit, run.views[0]
    for _ in iterate(batches, epochs=cfg.epochs):
        pass  # extracts the features, which are kept
    yield Fitted("none", "", identity_map(batches.dim), 0.0)
    for method in ("rasa", "rasa_orthogonal"):
        spent = 0.0
        for rounds in ROUNDS:
            start = time.process_time()
            planes = fit_rounds(
                batches,
                orthogonal=method == "rasa_orthogonal",
                num_rounds=rounds,
                epochs=cfg.epochs,
                learning_rate=cfg.learning_rate,
                seed=run.seed,
                folder=folder / method,
            )
            spent += time.process_time() - start
            linear_map = compose_planes(planes, metadata={})
            yield Fitted(method, f"rounds {rounds}", linear_map, spent)
    for method, fit in CLOSED_FORMS.items():
        for order in ORDERS:
            target = position(run.grid) if order is None else fourier(run.grid, order=order)
            start = time.process_time()
            sums = sum_moments(iterate(Retargeted(batches, target), epochs=cfg.epochs))
            linear_map = fit(sums, metadata={})
            spent = time.process_time() - start
            yield Fitted(method, "linear" if order is None else f"order {order}", linear_map, spent)


def mapped(
    inputs: SegmentationInputs, linear_map: LinearMap, *, dtype: torch.dtype
) -> SegmentationInputs:
    """Apply a map to all patches, then round them as the stage evaluate stores them."""
    train, test = (
        dataclasses.replace(part, patches=linear_map(stored(part)).to(dtype))
        for part in (inputs.train, inputs.test)
    )
    return dataclasses.replace(inputs, train=train, test=test)


def stored(part: DenseFeatures) -> Tensor:
    """Return the patch tokens, which a finished run holds in memory."""
    assert isinstance(part.patches, Tensor)
    return part.patches


Predictor = Callable[[Tensor], Tensor]


def fit_ridge(run: FinishedRun, train: DenseFeatures) -> Predictor:
    """Fit the linear probe that cannot read directions a map has all but removed."""
    target = position(run.grid).double().expand(len(train.patches), -1, -1)
    return solve_ridge(moments(train.patches, target), penalty=RIDGE)


def fit_network(run: FinishedRun, linear_map: LinearMap) -> Predictor:
    """Fit a network of one hidden layer, long enough to find what a linear map leaves."""
    tokens, targets = run.fit_tokens
    return fit_mlp(linear_map(tokens), targets, seed=run.seed, **NETWORK)


def squares(run: FinishedRun, predict: Predictor, test: DenseFeatures) -> NDArray[np.float64]:
    """Return (residual, total) sums of squares of (row, column), [images, 2, 2]."""
    target = position(run.grid)
    residual = (torch.stack([predict(tokens) for tokens in test.patches]) - target).square()
    total = (target - target.mean(0)).square().expand_as(residual)
    return torch.stack([residual.sum(1), total.sum(1)], dim=1).double().numpy()


def energy_squares(before: DenseFeatures, after: DenseFeatures) -> NDArray[np.float64]:
    """Return (moved, spread) sums of squares of each image, [images, 2]."""
    tokens = stored(before).double()
    moved = (tokens - stored(after)).square().sum((1, 2))
    mean = tokens.flatten(0, 1).mean(0)
    spread = (tokens - mean).square().sum((1, 2))
    return torch.stack([moved, spread], dim=1).numpy()


def ratio(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Return the ratio of two sums over images."""
    sums = weights @ evidence
    return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)


@dataclass(frozen=True)
class Findings:
    """What is left after one map: estimates by column, evidence of the downstream ones."""

    estimates: Mapping[str, Estimate]
    downstream: Mapping[str, NDArray[Any]]


def evidence_of(run: FinishedRun, name: str, inputs: SegmentationInputs) -> Mapping[str, Any]:
    """Run a benchmark with the scale's parameters."""
    parameters = getattr(run.parameters.evaluate, name).model_dump()
    outcome = BENCHMARKS[name].run(inputs, seed=run.seed, device=CPU, **parameters)
    return outcome.evidence


def statistic_of(column: str) -> Statistic:
    """Return the statistic behind a downstream column."""
    benchmark, metric = DOWNSTREAM[column]
    return BENCHMARKS[benchmark].spec(metric).statistic


def examine(run: FinishedRun, dense: SegmentationInputs, linear_map: LinearMap) -> Findings:
    """Probe the held-out views and evaluate the segmentation set."""
    cfg = run.parameters.evaluate
    views = mapped(run.held_out, linear_map, dtype=torch.float32)
    scenes = mapped(dense, linear_map, dtype=getattr(torch, cfg.patch_dtype))
    fitted = mapped(run.fit_views, linear_map, dtype=torch.float32)

    def estimate(statistic: Statistic, evidence: NDArray[Any]) -> Estimate:
        source = numpy_generator(run.seed, "rasa-study")
        draws = bootstrap(statistic, evidence, resamples=cfg.resamples, generator=source)
        value = point_estimate(statistic, evidence)
        return value, normal_interval(value, draws)

    downstream = {}
    for column, (name, metric) in DOWNSTREAM.items():
        if name != "depth" or dense.test.depth is not None:
            spec = BENCHMARKS[name].spec(metric)
            downstream[column] = evidence_of(run, name, scenes)[spec.evidence]
    entropy, information = (
        BENCHMARKS["spatial_entropy"].spec(name).statistic for name in ("entropy", "information")
    )
    places = evidence_of(run, "spatial_entropy", scenes)["cluster"]
    estimates = {
        "linear R²": estimate(r_squared, evidence_of(run, "position", views)["squares"]),
        "ridge R²": estimate(r_squared, squares(run, fit_ridge(run, views.train), views.test)),
        "network R²": estimate(r_squared, squares(run, fit_network(run, linear_map), views.test)),
        "entropy (bit)": estimate(entropy, places),
        "MI (bit)": estimate(information, places),
        "MI of views": estimate(
            information, evidence_of(run, "spatial_entropy", fitted)["cluster"]
        ),
        "energy": estimate(ratio, energy_squares(run.held_out.test, views.test)),
        **{name: estimate(statistic_of(name), found) for name, found in downstream.items()},
    }
    return Findings(estimates=estimates, downstream=downstream)


def print_findings(rows: Mapping[Fitted, Findings]) -> None:
    """Print a row a map: what is left, and what the fit took."""
    columns = next(iter(rows.values())).estimates
    print("| method | setting | rank |", *(f"{column} |" for column in columns), "CPU s |")
    print("|---" * (4 + len(columns)) + "|")
    for fitted, findings in rows.items():
        cells = [
            f"{value:.3f} [{low:.3f}, {high:.3f}] |"
            for value, (low, high) in findings.estimates.values()
        ]
        asked = f"| {fitted.method} | {fitted.setting} | {fitted.linear_map.rank} |"
        print(asked, *cells, f"{fitted.cpu_seconds:.2f} |")


def print_differences(run: FinishedRun, rows: Mapping[Fitted, Findings]) -> None:
    """Print a row a map: how far the downstream results are from those of no map."""
    baseline, *others = rows.items()
    columns = baseline[1].downstream
    print("| method | setting |", *(f"{column} |" for column in columns))
    print("|---" * (2 + len(columns)) + "|")
    for fitted, findings in others:
        cells = []
        for column, found in findings.downstream.items():
            difference = paired_difference(
                statistic_of(column),
                found,
                baseline[1].downstream[column],
                resamples=run.parameters.evaluate.resamples,
                generator=numpy_generator(run.seed, "rasa-study"),
            )
            low, high = difference.ci95
            mark = "" if low <= 0 <= high else "**"
            cells.append(f"{mark}{difference.value:+.3f} [{low:+.3f}, {high:+.3f}]{mark} |")
        print(f"| {fitted.method} | {fitted.setting} |", *cells)


def main() -> None:
    """Open the run, fit and examine every map, print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--scale", default="tiny")
    parser.add_argument("--variant", default="franca")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = FinishedRun(
        artifacts=arguments.artifacts,
        scale=arguments.scale,
        variant=arguments.variant,
        parameters=resolve(
            read(arguments.params), scale=arguments.scale, variant=arguments.variant
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        name, dense = run.segmentation(Path(folder) / "features")
        rows = {
            fitted: examine(run, dense, fitted.linear_map)
            for fitted in fit_all(run, Path(folder) / "rounds")
        }
    fit, train, test = (
        views.num_batches * len(views.batch(0, 0)[0]) // len(position(run.grid))
        for views in run.views
    )
    print(
        f"Scale `{run.scale}`, variant `{run.variant}`, seed {run.seed}; {run.model.embed_dim} "
        f"channels, {run.grid[0]}x{run.grid[1]} patches. Maps fitted on {fit} images, probes on "
        f"{train}, scored on {test}; {name}: {len(dense.train.masks)} training and "
        f"{len(dense.test.masks)} test images.\n"
    )
    print_findings(rows)
    print("\nDifference from no map on the same images:\n")
    print_differences(run, rows)


if __name__ == "__main__":
    main()
