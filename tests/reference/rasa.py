"""RASA and LEACE as slow, obvious loops over tokens, channels and directions."""

import numpy as np


def remove_plane(tokens, weight):
    """Take the span of one or two regressors out of tokens, one token at a time."""
    directions = []
    for row in np.asarray(weight, dtype=np.float64):
        rest = row / np.sqrt((row**2).sum())
        for earlier in directions:
            rest = rest - (rest * earlier).sum() * earlier
        directions.append(rest / np.sqrt((rest**2).sum()))
    cleaned = []
    for token in np.asarray(tokens, dtype=np.float64):
        rest = token.copy()
        for direction in directions:
            rest -= (token * direction).sum() * direction
        cleaned.append(rest)
    return np.stack(cleaned)


def mean_squared_error(tokens, weight, targets):
    """Score sigmoid(w . z) against the targets, token by token and target by target."""
    total = 0.0
    for token, target in zip(tokens, targets, strict=True):
        for row, wanted in zip(weight, target, strict=True):
            predicted = 1 / (1 + np.exp(-sum(a * b for a, b in zip(row, token, strict=True))))
            total += (predicted - wanted) ** 2
    return total / (len(tokens) * len(weight))


def apply_map(tokens, A, B, mean):
    """Apply z' = z - ((z - mean) A) B, one direction at a time, each reading the original token."""
    cleaned = []
    for token in tokens:
        rest = token.copy()
        for direction in range(A.shape[1]):
            read = sum((token[i] - mean[i]) * A[i, direction] for i in range(len(token)))
            rest -= read * B[direction]
        cleaned.append(rest)
    return np.stack(cleaned)


def leace(tokens, targets):
    """Erase targets by whitening, projecting, unwhitening (Belrose et al. 2023, theorem 4.3)."""
    mean = tokens.mean(0)
    centred, deviation = tokens - mean, targets - targets.mean(0)
    covariance = centred.T @ centred / len(tokens)
    cross = centred.T @ deviation / len(tokens)
    values, vectors = np.linalg.eigh(covariance)
    whiten = vectors @ np.diag(values**-0.5) @ vectors.T
    unwhiten = vectors @ np.diag(values**0.5) @ vectors.T
    basis = np.linalg.svd(whiten @ cross, full_matrices=False)[0]
    return tokens - centred @ (unwhiten @ basis @ basis.T @ whiten).T
