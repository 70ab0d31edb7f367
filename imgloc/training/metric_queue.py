"""Metrics of every step between the devices and the log, so that the loop need not wait for a step to read its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from imgloc.training.metric_writer import MetricWriter
from imgloc.training.progress import Progress


class NotFinite(Exception):
    """The loss, its gradient or the parameters stopped being numbers at a step."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


WATCHED = ("loss", "grad_norm")  # of every step; whatever else is not finite reaches one of them


class MetricQueue:
    """Metrics of every step on their way from the devices to the journal, so that the loop need not wait for a step to read its loss."""

    def __init__(self, writer: MetricWriter, progress: Progress, log_every: int) -> None:
        self._writer, self._progress, self._log_every = writer, progress, log_every
        self._waiting: list[tuple[int, int, Mapping[str, Any]]] = []
        self._looked = 0  # how many of them were there at the last look

    def add(self, step: int, metrics: Mapping[str, Any], count: int = 1) -> None:
        """Metrics of the `count` steps that end with `step`, computed or still being computed: arrays of `count` or more, or scalars."""
        self._waiting.append((step, count, metrics))

    def __len__(self) -> int:
        return len(self._waiting)

    def look(self, *, wait: bool) -> None:
        """Look at every step that was added (without `wait`: before the last look), and log those of every `log_every`-th.

        Raises NotFinite with the first step that was not finite.
        """
        ready = len(self._waiting) if wait else self._looked
        looked_at, self._waiting = self._waiting[:ready], self._waiting[ready:]
        self._looked = len(self._waiting)
        for step, count, metrics in looked_at:
            logged = step % self._log_every == 0
            values = {name: _column(metrics[name], count) for name in metrics if logged or name in WATCHED}
            for place in range(count):
                bad = [f"{name} is {column[place]}" for name, column in values.items() if not math.isfinite(column[place])]
                if bad:
                    number = step - count + 1 + place
                    raise NotFinite(f"{', '.join(bad)} at step {number}, the first that is not finite", number)
            self._progress.loss(values["loss"][-1])
            if logged:
                self._writer.add(step, "train", {name: column[-1] for name, column in values.items()})


def _column(values: Any, count: int) -> list[float]:
    """Of an array of a call's steps, or the scalar of one."""
    column: list[float] = np.atleast_1d(np.asarray(values, np.float64))[:count].tolist()
    return column
