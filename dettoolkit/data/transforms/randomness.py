"""Randomness that belongs to a sample, whichever process or worker prepares it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(*entropy: int) -> Iterator[None]:
    """Seed torch (on the CPU), ``random`` and numpy's global generator for a while, and give them their states back.

    Args:
        entropy: numbers of 0 or more, e.g. seed, epoch and position; different ones give unrelated random numbers.
    """
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002  transforms of others draw from it
    for_torch, for_random, for_numpy = np.random.SeedSequence(entropy).generate_state(3).tolist()
    # torch.manual_seed would also seed the accelerators, whose states nobody gives back
    torch.default_generator.manual_seed(for_torch)
    random.seed(for_random)
    np.random.seed(for_numpy)  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002
