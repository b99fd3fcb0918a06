"""Where a patch seems to be, judged from its features alone: the bias that RASA removes, seen."""

import numpy as np
import numpy.typing as npt

from franca.report.features import Samples

Numbers = npt.NDArray[np.float64]
_PENALTY = 1e-2


def predict_positions(samples: Samples) -> Numbers:
    """Predict the place of every patch from its features, by ridge regression.

    Each image is predicted by a regression on the others, so a prediction is no memory. There are
    few images and many features: the penalty is a hundredth of the features' mean variance.

        for image i:
            W = argmin sum over patches p of images j != i of |z_p W - y_p|^2 + penalty |W|^2
            prediction[i] = z W                      (z and y less their means over the j)

    Args:
        samples: At least two images.

    Returns:
        [n, rows, columns, 2]: predicted (row, column), each from 0 to 1 where it is right.
    """
    num_images, num_patches, dim = samples.patches.shape
    places = _places(samples.grid)
    sums = np.stack([z.T @ z for z in samples.patches])
    cross = np.stack([z.T @ (places - places.mean(0)) for z in samples.patches])
    means = samples.patches.mean(axis=1)
    predictions = np.empty((num_images, num_patches, 2))
    for held_out in range(num_images):
        others = np.arange(num_images) != held_out
        count = num_patches * (num_images - 1)
        centre = means[others].mean(axis=0)
        covariance = sums[others].sum(axis=0) - count * np.outer(centre, centre)
        ridge = _PENALTY * np.trace(covariance) / dim
        weight = np.linalg.solve(covariance + ridge * np.eye(dim), cross[others].sum(axis=0))
        predictions[held_out] = (samples.patches[held_out] - centre) @ weight + places.mean(0)
    return predictions.reshape(num_images, *samples.grid, 2)


def r_squared(predictions: Numbers) -> float:
    """Return the share of the variance of (row, column) that the predictions explain.

    Args:
        predictions: [n, rows, columns, 2].
    """
    rows, columns = predictions.shape[1:3]
    places = _places((rows, columns)).reshape(rows, columns, 2)
    residual = np.square(predictions - places).sum()
    return float(1 - residual / (np.square(places - places.mean((0, 1))).sum() * len(predictions)))


def _places(grid: tuple[int, int]) -> Numbers:
    """Return [rows * columns, 2]: the (row, column) of every patch, each from 0 to 1."""
    rows, columns = (np.linspace(0, 1, size) for size in grid)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
