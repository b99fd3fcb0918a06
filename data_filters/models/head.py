"""Linear layers on top of embeddings, such as LAION's aesthetic predictors."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import torch
from safetensors.torch import load_file

from data_filters.models.network import Vectors
from data_filters.models.weights import reading

Activation = Literal["none", "relu"]
Output = Literal["linear", "sigmoid"]

_WEIGHT: Final = re.compile(r"^(?:.*?(\d+)\.)?weight$")


class Head:
    """A chain of linear layers.

    Args:
        layers: (weight [out, in], bias [out]) of each, in order.
        activation: Between layers.
        output: After the last one.
    """

    def __init__(
        self,
        layers: list[tuple[Vectors, Vectors]],
        *,
        activation: Activation,
        output: Output,
    ) -> None:
        self._layers, self._activation, self._output = layers, activation, output
        self.width = layers[0][0].shape[1]

    @classmethod
    def read(
        cls,
        file: Path,
        *,
        activation: Activation,
        output: Output,
    ) -> Self:
        """Read the layers of a state dict in the order of the numbers in their names.

        LAION's files fit as they are: `sac+logos+ava1-l14-linearMSE.pth` (`layers.0.weight`, ...;
        the dropout between its layers has no parameters) and `sa_0_4_vit_l_14_linear.pth`
        (`weight`, `bias`). github.com/christophschuhmann/improved-aesthetic-predictor and
        github.com/LAION-AI/aesthetic-predictor.

        Raises:
            ValueError: The file holds something else, or layers that do not fit together.
        """
        with reading(file, of="the layers of a head"):
            if file.suffix == ".safetensors":
                state = load_file(file)
            else:
                state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not all(
            isinstance(t, torch.Tensor) for t in state.values()
        ):
            raise ValueError(f"{file}: expected a state dict of linear layers, tensors by name")
        found = [(match, name) for name in state if (match := _WEIGHT.match(name))]
        names = [name for _, name in sorted(found, key=lambda pair: int(pair[0][1] or 0))]
        layers = []
        for name in names:
            weight, bias = state[name], state.get(name.removesuffix("weight") + "bias")
            if weight.ndim != 2 or bias is None:
                raise ValueError(f"{file}: {name} is no linear layer with a bias")
            layers.append((weight.float().numpy(), bias.float().numpy()))
        fits = all(a.shape[0] == b.shape[1] for (a, _), (b, _) in pairwise(layers))
        if not layers or not fits or layers[-1][0].shape[0] != 1:
            raise ValueError(
                f"{file}: expected linear layers that lead to one number, not "
                f"{', '.join(f'{name} {list(state[name].shape)}' for name in names) or list(state)}"
            )
        return cls(layers, activation=activation, output=output)

    def __call__(self, embeddings: Vectors) -> Vectors:
        """Return a score for each embedding: [images, dim] to [images]."""
        values = embeddings.astype(np.float64)  # a product of few rows: nothing to save
        for number, (weight, bias) in enumerate(self._layers):
            if number and self._activation == "relu":
                values = np.maximum(values, 0)
            values = values @ weight.T.astype(np.float64) + bias
        scores = values[:, 0]
        if self._output == "sigmoid":
            scores = 1 / (1 + np.exp(-scores))
        return scores.astype(np.float32)
