"""A queue of the metrics of every step between the devices and the log, so that the loop does not wait for a step to read its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jax.typing import ArrayLike

from imgloc.training.metric_writer import MetricWriter
from imgloc.training.progress import Progress

WATCHED = ("loss", "grad_norm")  # checked at every step; any other value that is not finite reaches one of them


class NonFiniteError(Exception):
    """The loss, its gradient or the parameters became NaN or infinite at a step."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class MetricQueue:
    """The metrics of the steps that are not checked and logged yet; the devices may still be computing them."""

    def __init__(self, writer: MetricWriter, progress: Progress, log_every: int) -> None:
        self._writer, self._progress, self._log_every = writer, progress, log_every
        self._pending: list[tuple[int, int, Mapping[str, ArrayLike]]] = []
        self._ready = 0  # how many of them were already pending at the last `drain`

    def add(self, step: int, metrics: Mapping[str, ArrayLike], count: int = 1) -> None:
        """Add the metrics of the `count` steps that end with `step`: scalars, or arrays with one or more values for each step."""
        self._pending.append((step, count, metrics))

    def __len__(self) -> int:
        return len(self._pending)

    def drain(self, *, wait: bool) -> None:
        """Check every pending step and log every `log_every`-th; without `wait`, only steps that were added before the last call.

        Raises NonFiniteError for the first step with a value that is not finite.
        """
        ready = len(self._pending) if wait else self._ready
        drained, self._pending = self._pending[:ready], self._pending[ready:]
        self._ready = len(self._pending)
        for step, count, metrics in drained:
            logged = step % self._log_every == 0
            columns = {name: _column(metrics[name], count) for name in metrics if logged or name in WATCHED}
            for i in range(count):
                bad = [f"{name} is {column[i]}" for name, column in columns.items() if not math.isfinite(column[i])]
                if bad:
                    number = step - count + 1 + i
                    raise NonFiniteError(f"{', '.join(bad)} at step {number}, the first that is not finite", number)
            self._progress.set_loss(columns["loss"][-1])
            if logged:
                self._writer.add(step, "train", {name: column[-1] for name, column in columns.items()})


def _column(values: ArrayLike, count: int) -> list[float]:
    """One value for each of the `count` steps of a call."""
    column: list[float] = np.atleast_1d(np.asarray(values, np.float64))[:count].tolist()
    return column
