"""What Probe3D trains its depth and normal probes with (mbanani/probe3d@a1f1464)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

_SHARE = 0.85  # of the squared mean error that is forgiven: scale counts less than shape
_STRIDES = (1, 2, 4, 6)
_LOG_MARGIN = 1e-3  # metres, keeps logarithms of 0 finite
_COSINE_MARGIN = 1e-4  # the slope of acos is infinite at ±1

Depths = Float[Tensor, "images height width"]


def scale_invariant_loss(prediction: Depths, truth: Depths) -> Float[Tensor, ""]:
    """Return the error of log-depth, most of the error of scale forgiven (SigLoss of AdaBins).

        e = log(prediction + 0.001) - log(truth + 0.001), over the valid pixels of all images
        loss = sqrt(mean(e²) - 0.85 mean(e)²)

    Args:
        prediction: metres.
        truth: metres, 0 where unknown.
    """
    errors = _log_errors(prediction, truth)[truth > 0]
    return (errors.square().mean() - _SHARE * errors.mean().square()).sqrt()


def gradient_loss(prediction: Depths, truth: Depths) -> Float[Tensor, ""]:
    """Return how far steps of log-depth between pixels two apart are from the true ones.

        for stride in 1, 2, 4, 6:
            keep every stride-th row and column of e, the error of log-depth
            for each pair of valid pixels two rows or two columns apart:
                loss += |e[first] - e[second]| / number of valid pixels

    DINOv2's code of the same loss takes image and channel for row and column; so does Probe3D's
    when it is given four dimensions. This is the loss that both describe.
    """
    errors, valid = _log_errors(prediction, truth), truth > 0
    total = errors.new_zeros(())
    for stride in _STRIDES:
        kept, known = errors[:, ::stride, ::stride], valid[:, ::stride, ::stride]
        steps = _steps(kept, known) + _steps(kept.mT, known.mT)
        total = total + steps / known.sum().clamp_min(1)
    return total


def depth_loss(prediction: Depths, truth: Depths, *, max_depth: float) -> Float[Tensor, ""]:
    """Return 10 times the scale-invariant loss plus half the gradient loss.

    Args:
        prediction: metres.
        truth: metres; 0, or more than `max_depth`, where unknown.
        max_depth: metres.
    """
    known = torch.where(truth > max_depth, 0.0, truth)
    return 10 * scale_invariant_loss(prediction, known) + 0.5 * gradient_loss(prediction, known)


def uncertain_angular_loss(
    prediction: Float[Tensor, "images 4 height width"],
    truth: Float[Tensor, "images 3 height width"],
    valid: Bool[Tensor, "images height width"],
) -> Float[Tensor, ""]:
    """Return the angle between normals, weighted by how sure the prediction is (Bae et al., 2021).

        for each valid pixel:
            k = elu(fourth channel) + 1.01
            loss += k * angle - log(k² + 1) + log(1 + exp(-k π)), divided by their number

    Args:
        prediction: normals of any length, and how sure they are.
        truth: normals of any length.
        valid: where the truth is known.
    """
    normals, sureness = prediction[:, :3], functional.elu(prediction[:, 3]) + 1.01
    cosine = functional.cosine_similarity(normals, truth, dim=1)
    angle = cosine.clamp(-1 + _COSINE_MARGIN, 1 - _COSINE_MARGIN).acos()
    normaliser = (-sureness * torch.pi).exp().log1p() - sureness.square().log1p()
    return (normaliser + sureness * angle)[valid].mean()


def _log_errors(prediction: Depths, truth: Depths) -> Depths:
    return (prediction + _LOG_MARGIN).log() - (truth + _LOG_MARGIN).log()


def _steps(errors: Depths, valid: Bool[Tensor, "images height width"]) -> Float[Tensor, ""]:
    both = valid[:, :-2] & valid[:, 2:]
    return ((errors[:, :-2] - errors[:, 2:]).abs() * both).sum()
