"""What is left of the targets on held-out images: linear probe, small MLP, energy removed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from franca.randomness import generator
from franca.rasa.linear_map import LinearMap
from franca.rasa.moments import Moments

_NULL = 1e-10  # eigenvalues of cov(z) below this share of the largest are rounding, not features


@dataclass(frozen=True)
class Probe:
    """How well held-out targets are predicted, target by target.

    Attributes:
        r2: share of the held-out variance explained; 0 is chance, negative is worse.
        mse: mean squared error.
        chance_mse: that of always predicting the held-out mean: (g + 1) / (12 (g - 1)) for a
            coordinate on g cells.
    """

    r2: list[float]
    mse: list[float]
    chance_mse: list[float]


def linear_probe(train: Moments, test: Moments) -> Probe:
    """Fit ordinary least squares with intercept on one set of tokens and score it on another.

    for token z, target y:
        mse[c] += (w_c . z + b_c - y_c)^2 / tokens
    r2[c] = 1 - mse[c] / var(y_c)

    Evaluated from the sums alone, so that scoring another map costs no pass over the features.
    """
    values, vectors = torch.linalg.eigh(train.covariance())
    kept = values > _NULL * values[-1].clamp_min(torch.finfo(values.dtype).tiny)
    scaled = vectors[:, kept] / values[kept]
    W = scaled @ (vectors[:, kept].T @ train.cross_covariance())
    # the prediction's error splits into its spread and its bias
    spread = (
        test.target_covariance() - 2 * W.T @ test.cross_covariance() + W.T @ test.covariance() @ W
    ).diagonal()
    bias = (test.mean - train.mean) @ W - (test.target_mean - train.target_mean)
    return _probe(spread + bias**2, variance=test.target_covariance().diagonal())


def mlp_probe(
    train: tuple[Float[Tensor, "train dim"], Float[Tensor, "train targets"]],
    test: tuple[Float[Tensor, "test dim"], Float[Tensor, "test targets"]],
    *,
    hidden: int,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> Probe:
    """Fit a small network on tokens and score it on others.

    A linear method promises nothing here: this says how much is left for a nonlinear reader.
    """
    predict = fit_mlp(
        *train,
        hidden=hidden,
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    z, y = test
    mse = (predict(z) - y).double().square().mean(0)
    return _probe(mse, variance=y.double().var(0, correction=0))


def fit_mlp(
    z: Float[Tensor, "train dim"],
    y: Float[Tensor, "train targets"],
    *,
    hidden: int,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> Callable[[Float[Tensor, "tokens dim"]], Float[Tensor, "tokens targets"]]:
    """Fit one hidden layer (GELU, Adam) on standardised tokens and return what predicts from it."""
    mean, deviation = z.mean(0), z.std(0).clamp_min(1e-6)
    z = (z - mean) / deviation
    network = _network(z.shape[1], hidden, y.mean(0), seed=seed).to(z.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, num_steps)
    for step in range(num_steps):
        draw = generator(seed, "rasa-mlp-batch", step)
        chosen = torch.randint(len(z), (batch_size,), generator=draw).to(z.device)
        loss = (network(z[chosen]) - y[chosen]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()

    @torch.no_grad()
    def predict(tokens: Tensor) -> Tensor:
        predicted: Tensor = network((tokens - mean) / deviation)
        return predicted

    return predict


def energy_removed(moments: Moments, linear_map: LinearMap) -> float:
    """Return mean |z - z'|^2 as a share of mean |z - mean(z)|^2."""
    deviation = moments.mean - linear_map.mean.to(moments.z)
    about_map = moments.covariance() + torch.outer(deviation, deviation)
    taken = torch.eye(linear_map.dim).to(moments.z) - linear_map.matrix().to(moments.z)
    return ((taken.T @ about_map @ taken).trace() / moments.covariance().trace()).item()


def _probe(mse: Float[Tensor, " targets"], *, variance: Float[Tensor, " targets"]) -> Probe:
    r2 = 1 - mse / variance
    return Probe(r2=r2.tolist(), mse=mse.tolist(), chance_mse=variance.tolist())


def _network(
    dim: int, hidden: int, target_mean: Float[Tensor, " targets"], *, seed: int
) -> nn.Sequential:
    """Return a network that starts at chance, so that a short fit cannot look worse than none."""
    inner, outer = nn.Linear(dim, hidden), nn.Linear(hidden, len(target_mean))
    draw = generator(seed, "rasa-mlp-start")
    nn.init.normal_(inner.weight, std=dim**-0.5, generator=draw)
    nn.init.zeros_(inner.bias)
    nn.init.zeros_(outer.weight)
    with torch.no_grad():
        outer.bias.copy_(target_mean)
    return nn.Sequential(inner, nn.GELU(), outer)
