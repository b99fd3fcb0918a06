"""The state of a run as one flat table of tensors, and back: networks and optimiser moments.

Names say what a tensor is, so that a state can be read by other programs and in parts:
`student.<part>.<parameter>`, `teacher.<part>.<parameter>`, `optimizer.<moment>.<part>.<parameter>`.
Schedules, data order, masks and stochastic depth are functions of (seed, step) and have no state.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from franca.models.weights import mismatch
from franca.ssl.ema import at_hand
from franca.ssl.student_teacher import StudentTeacher
from franca.train.distributed import deal_out, is_sharded

State = Mapping[str, Tensor]
"""What `collect_state` returns."""

_OPTIMIZER = "optimizer."
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def collect_state(method: StudentTeacher, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return every tensor that the rest of the run depends on."""
    tensors: dict[str, Tensor] = dict(method.state_dict())
    for name, parameter in method.student.named_parameters():
        for moment, tensor in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{moment}.{name}"] = tensor
    return tensors


def shards_at_hand(tensors: State, *, is_first: bool) -> dict[str, Tensor]:
    """Return what this process writes: its shards; the first also what is not dealt out.

    Args:
        tensors: what `collect_state` returned.
        is_first: whether this is the first process.
    """
    return {
        name: at_hand(tensor) for name, tensor in tensors.items() if is_first or is_sharded(tensor)
    }


def restore_networks(method: StudentTeacher, tensors: State) -> None:
    """Put back the networks of `collect_state`'s tensors, without the optimiser.

    Raises:
        ValueError: the tensors belong to another model.
    """
    _load(
        method,
        {name: tensors[name] for name in tensors if not name.startswith(_OPTIMIZER)},
    )


def restore_state(method: StudentTeacher, optimizer: torch.optim.Optimizer, tensors: State) -> None:
    """Put `collect_state`'s tensors back, exactly.

    Raises:
        ValueError: the tensors belong to another model.
    """
    restore_networks(method, tensors)
    restore_moments(method, optimizer, tensors)


def load_teacher(method: StudentTeacher, tensors: State, *, with_heads: bool) -> None:
    """Start student and teacher of `method` from the teacher of `collect_state`'s tensors.

    Args:
        method: of the same architecture and position grid.
        tensors: the state.
        with_heads: whether the heads come along or stay as they were initialised.

    Raises:
        ValueError: the tensors belong to another model.
    """
    for part in method.student_parts if with_heads else ("backbone",):
        prefix = f"teacher.{part}."
        weights = {
            name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)
        }
        for networks in (method.student, method.teacher):
            _load(networks.get_submodule(part), weights)


def restore_moments(
    method: StudentTeacher, optimizer: torch.optim.Optimizer, tensors: State
) -> None:
    """Put back the optimiser moments whose parameter still has the shape they were taken at."""
    for name, parameter in method.student.named_parameters():
        moments = {
            moment: tensors[key]
            for moment in _MOMENTS
            if (key := f"{_OPTIMIZER}{moment}.{name}") in tensors
        }
        if moments and moments["exp_avg"].shape == parameter.shape:
            optimizer.state[parameter] = {
                # The fused AdamW wants the step count beside its parameter, on the same device.
                moment: tensor.to(parameter.device, copy=True)
                if moment == "step"
                else deal_out(tensor.clone(), like=parameter)
                for moment, tensor in moments.items()
            }


def _load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    own = module.state_dict()
    text = mismatch(own, weights)
    if text:
        raise ValueError(
            f"the training state does not fit the model in the parameters ({text}): "
            "train from the start or restore the parameters"
        )
    module.load_state_dict(
        {name: deal_out(tensor, like=own[name]) for name, tensor in weights.items()}
    )
