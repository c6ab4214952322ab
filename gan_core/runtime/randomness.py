"""Random numbers as a function of (seed, purpose, step), so that there is no generator state to save.

Sampling, evaluation or logging between two steps cannot change the random numbers of a step.
"""

import hashlib
from typing import Any

import numpy as np
import torch

ROUNDS = 4  # of the Feistel network; four make a pseudo-random permutation (Luby and Rackoff 1988)


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed for one purpose at one step."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def reseed(seed: int, purpose: str, step: int = 0) -> None:
    """Set torch's default generators, on every device in use, for one purpose at one step.

    `torch.manual_seed` would also record the seed for unused devices, with a stack trace each time, which takes 0.6 ms.
    """
    value = derive(seed, purpose, step)
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(value)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(value)


def shuffled(positions: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Indices of the examples at some positions of an endless stream of shuffled epochs.

    positions: int64 array, >= 0. Position p belongs to epoch p // size; every epoch contains each of the `size`
    examples once, in a different order. Nothing is stored: a Feistel network over the smallest even number of bits
    that can hold `size` permutes the positions of the epoch, and is applied again while the result is >= size
    (cycle walking).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    epochs, within = np.divmod(positions.astype(np.uint64), np.uint64(size))
    keys = _mix(_mix(np.uint64(derive(seed, "shuffle"))) ^ epochs)
    out = _permuted(within, keys, half, mask)
    while (outside := out >= size).any():
        out[outside] = _permuted(out[outside], keys[outside], half, mask)
    return out.astype(np.int64)


def mixed_in(indices: np.ndarray, some: np.ndarray, num: int, turn: int, seed: int) -> np.ndarray:
    """Replace the first `num` indices of a batch by the next `num` of a separate shuffled stream over `some`.

    turn: the number of the batch, from 0.
    """
    positions = np.arange(turn * num, (turn + 1) * num, dtype=np.int64)
    return np.concatenate([some[shuffled(positions, len(some), derive(seed, "labelled"))], indices[num:]])


def _permuted(values: np.ndarray, keys: np.ndarray, half: int, mask: np.uint64) -> np.ndarray:
    left, right = values >> np.uint64(half), values & mask
    for turn in range(ROUNDS):
        left, right = right, left ^ (_mix(keys + np.uint64(turn << 56) + right) & mask)
    return (left << np.uint64(half)) | right


def _mix(x: Any) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al. 2014), modulo 2^64."""
    x = np.atleast_1d(x)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
