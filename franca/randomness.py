"""Stateless randomness: every consumer derives its generator from (seed, purpose, indices).

Nothing else in the project draws random numbers, so the number of workers, the world size and
restarts change nothing.
"""

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, purpose: str, *indices: int) -> int:
    """Hash (seed, purpose, indices) into a 63-bit seed, equal on every machine."""
    text = "/".join([str(seed), purpose, *map(str, indices)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, *indices: int) -> torch.Generator:
    """Return a CPU generator that depends on nothing but its arguments."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, *indices))


def numpy_generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Return a NumPy generator that depends on nothing but its arguments."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, purpose, *indices)))
