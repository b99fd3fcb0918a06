"""Claim: every benchmark on one checkpoint of the embedded world takes at most three minutes.

    python benchmarks/evaluation_suite.py [--model artifacts/.../highres.safetensors]

All tasks of scale `tiny`, from images to metrics with intervals, features extracted into an empty
folder; wall time of one thread, which another job on the machine lengthens. Without `--model`, the
untrained architecture. Needs the rendered world: `franca scenes`.

Prints the seconds of each task, its features included where it is the first to ask for them, and
exits with 1 when they take longer than `--maximum` together.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from franca.baselines.models import open_model
from franca.eval.suite import Pair
from franca.stages.evaluate import build_suite
from workflow.params import DEFAULT_FILE, read, resolve
from workflow.stages import BY_NAME, artifact_folder

THREADS = 1  # tensors are small: a second thread mostly waits, and doubles the CPU time


def main() -> int:
    """Print what each task takes; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a checkpoint; default: untrained")
    parser.add_argument("--maximum", type=float, default=180, help="seconds that pass")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    parameters: Any = resolve(read(DEFAULT_FILE), scale="tiny", variant="franca")
    scenes = artifact_folder(BY_NAME["scenes"], scale="tiny", variant="franca")
    spec = f"franca:{options.model}" if options.model else "random:vit_tiny"
    device = torch.device("cpu")
    model, digest = open_model(spec, device=device)
    tasks = [Pair(task.benchmark, task.evaluation_set) for task in parameters.evaluate.tasks]
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        suite = build_suite(
            parameters.evaluate,
            model=model,
            weights_digest=digest,
            evaluation_sets=parameters.evaluation_sets,
            scenes=scenes,
            seed=parameters.seed,
            folder=Path(folder) / "features",
            device=device,
        )
        for task in tasks:
            wall, cpu = time.perf_counter(), time.process_time()
            suite.run([task], Path(folder) / "results", title=str(task))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            total += wall
            print(f"{task!s:40} {wall:6.1f} s  {cpu:6.1f} CPU-s")
    print(f"{len(tasks)} tasks: {total:.0f} s (limit {options.maximum:g})")
    return int(total > options.maximum)


if __name__ == "__main__":
    sys.exit(main())
