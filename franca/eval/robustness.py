"""Known classes in images unlike those trained on, judged by the heads of the linear probe."""

from typing import Any

import torch

from franca.eval.benchmark import Benchmark, Outcome, share
from franca.eval.inputs.contracts import ProbeInputs
from franca.eval.linear import hits, probe_heads
from franca.eval.resampling import mean


def robustness(inputs: ProbeInputs, *, seed: int, device: torch.device, **settings: Any) -> Outcome:
    """Score the head that the linear probe chose on other images of its classes.

    Where the set has only some of the classes (ImageNet-A and -R have 200), only those compete, as
    in the official code; `unrestricted` lets all of them. Where several classes are right
    (ImageNet-ReaL), any of them counts.

    Args:
        inputs: the known training images, their validation images, and the shifted ones.
        seed: as for `linear`; equal settings and seed share the heads.
        device: where to train.
        settings: of `probe_heads`.
    """
    heads = probe_heads(inputs, seed=seed, device=device, **settings)
    chosen = heads.get("chosen", heads["best"])
    logits = chosen.logits(inputs.test)
    evidence = {"correct": hits(logits, inputs, restricted=True).numpy()}
    if inputs.accepted is None and len(inputs.columns) < inputs.num_classes:
        unrestricted = hits(logits, inputs, restricted=False)
        evidence["correct@unrestricted"] = unrestricted.numpy()
    return Outcome(
        evidence=evidence,
        predictions={"predicted": logits.argmax(1).int().cpu().numpy()},
        details={"chosen": str(chosen)},
    )


BENCHMARK = Benchmark(
    name="robustness",
    version="1.0",
    protocol="the head of the linear probe on shifted images; only classes of the set compete, any "
    "accepted label counts",
    source="facebookresearch/dinov2@b8931f7 eval/linear.py, class mappings; Franca, Table 4",
    kind="shifted",
    quick=False,
    metrics=(share("top1", "correct", mean, "wilson"),),
    run=robustness,
    predictions={"predicted": "[images] class, of all that are known"},
    section="linear",
)
