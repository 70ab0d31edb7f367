"""What both sides of the comparison share, without JAX and PyTorch: weights, images and labels of a small network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping

import numpy as np

CHANNELS, CLASSES = (3, 16, 32, 64, 64), 10  # of the images and of four convolutions of 3x3 pixels, the first three with stride 2
BATCH, SIZE = 16, 96
CALLS, LONGEST = 20, 8.0  # timed calls of each method, and seconds after which there are no more


def strides() -> tuple[int, ...]:
    """The stride of each convolution."""
    return (2, 2, 2, 1)


def weights() -> dict[str, np.ndarray]:
    """Kernels (3, 3, i, o) of the convolutions and (i, o) of the linear layer, with the scale of He et al.; biases are zeros."""
    rng = np.random.default_rng(0)
    found = {
        f"conv{number}": rng.normal(size=(3, 3, before, after)).astype(np.float32) * np.float32((2 / (9 * before)) ** 0.5)
        for number, (before, after) in enumerate(itertools.pairwise(CHANNELS))
    }
    return {**found, "classes": rng.normal(size=(CHANNELS[-1], CLASSES)).astype(np.float32) / 8}


def images() -> np.ndarray:
    """A batch of random images (b, h, w, 3) in [0, 1]."""
    return np.random.default_rng(1).uniform(size=(BATCH, SIZE, SIZE, 3)).astype(np.float32)


def labels() -> np.ndarray:
    """The explained class (b,) of each image."""
    return np.arange(BATCH) % CLASSES


def maps_per_second(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Maps per second of processor time of each function, which explains one batch and returns when it is done: the best of its calls.

    Time of the processors, of all threads together, and the best call: both are less sensitive to other work on the machine.
    """
    found = {}
    for name, call in calls.items():
        call()
        seconds, begin = [], time.perf_counter()
        while len(seconds) < CALLS and (len(seconds) < 2 or time.perf_counter() - begin < LONGEST):
            start = time.process_time()
            call()
            seconds.append(time.process_time() - start)
        found[name] = BATCH / min(seconds)
    return found
