"""The progress of training on standard error."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType


class Progress:
    """Step, loss, images/s and time left: a bar on a terminal, else a plain line every `every` seconds; nothing unless `show`."""

    def __init__(self, start: int, steps: int, batch_size: int, *, every: float = 10.0, show: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._steps, self._batch_size, self._every = steps, batch_size, every
        self._loss, self._begun, self._shown = float("nan"), time.monotonic(), 0.0
        self._first: int | None = None
        self._console = Console(file=sys.stderr, quiet=not show)
        self._bar: Progress | None = None
        self._show = show
        if show and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training"), BarColumn(), MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]}"), TextColumn("{task.fields[speed]:,.0f} images/s"),
                TimeRemainingColumn(), TextColumn("left"), console=self._console,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=steps, completed=start, loss=self._loss_text(), speed=0.0)
            self._bar.start()

    def advance(self, step: int) -> None:
        """`step` steps are done; the clock of the speed starts at the first, which compiles."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun, self._shown = step, now, now
        speed = self.images_per_second(step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=self._loss_text(), speed=speed)
        elif now - self._shown >= self._every or step == self._steps:
            self._shown = now
            left = (self._steps - step) * self._batch_size / speed if speed > 0 else 0.0
            self.say(f"step {step}/{self._steps}  loss {self._loss_text()}  {speed:,.0f} images/s  {left:.0f} s left")

    def images_per_second(self, step: int) -> float:
        """Images per second since the first step of this process was done."""
        seconds = time.monotonic() - self._begun
        return (step - (self._first or step)) * self._batch_size / seconds if seconds > 0 else 0.0

    def _loss_text(self) -> str:
        return "-" if math.isnan(self._loss) else f"{self._loss:.4f}"

    def loss(self, value: float) -> None:
        """The loss to show from now on."""
        self._loss = value

    def say(self, line: str) -> None:
        """A line of its own above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        elif self._show:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
