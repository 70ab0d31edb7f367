"""The progress of training on standard error."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

LOSS_SECONDS = 1.0  # between updates of the loss that is shown


class Progress:
    """Shows step, loss, images per second and the time left: as a bar on a terminal or in a notebook, else as a line at intervals.

    `every` is the number of seconds between two lines. Prints nothing where `show` is False.
    """

    def __init__(self, start: int, steps: int, batch_size: int, *, every: float = 10.0, show: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._steps, self._batch_size, self._every, self._show = steps, batch_size, every, show
        self._loss, self._start_time, self._shown = float("nan"), time.monotonic(), 0.0
        self._first: int | None = None
        self._loss_time = time.monotonic()
        self._bar: Progress | None = None
        console = Console(file=sys.stderr, quiet=not show)
        self._notebook = NotebookBar() if show and in_notebook() else None
        if show and console.is_terminal and self._notebook is None:
            self._bar = Progress(
                TextColumn("training"), BarColumn(), MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]}"), TextColumn("{task.fields[speed]:,.0f} images/s"),
                TimeRemainingColumn(), TextColumn("left"), console=console,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=steps, completed=start, loss=self._loss_text(), speed=0.0)
            self._bar.start()

    def is_due(self) -> bool:
        """Whether the loss that is shown is older than LOSS_SECONDS."""
        return self._show and time.monotonic() - self._loss_time >= LOSS_SECONDS

    def advance(self, step: int) -> None:
        """Show that `step` steps are done; the clock of the speed starts at the first call, after compilation."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._start_time, self._shown = step, now, now
        speed = self.images_per_second(step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=self._loss_text(), speed=speed)
        elif now - self._shown >= (LOSS_SECONDS if self._notebook else self._every) or step == self._steps:
            self._shown = now
            left = (self._steps - step) * self._batch_size / speed if speed > 0 else 0.0
            text = f"step {step}/{self._steps}  loss {self._loss_text()}  {speed:,.0f} images/s  {left:.0f} s left"
            if self._notebook is None:
                self.write(text)
            else:
                self._notebook.show(step, self._steps, text)

    def images_per_second(self, step: int) -> float:
        """Images per second since the first step of this process."""
        seconds = time.monotonic() - self._start_time
        return (step - (self._first or step)) * self._batch_size / seconds if seconds > 0 else 0.0

    def _loss_text(self) -> str:
        return "-" if math.isnan(self._loss) else f"{self._loss:.4f}"

    def set_loss(self, value: float) -> None:
        """Set the loss to show."""
        self._loss, self._loss_time = value, time.monotonic()

    def write(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        elif self._show:  # notebooks show standard error as if it were an error
            stream = sys.stderr if self._notebook is None else sys.stdout
            with reader_may_end(stream):
                print(line, file=stream)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextlib.contextmanager
def reader_may_end(stream: TextIO | None) -> Iterator[None]:
    """Flush a stream after the block. If the process that reads it has ended, all further output is discarded without an error.

    The stream is None where the shell has closed it (`>&-`).
    """
    try:
        yield
        if stream is not None:
            stream.flush()
    except BrokenPipeError:
        if stream is None:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # buffered output goes there, too
        os.close(nowhere)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which can show HTML."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    return hasattr(get_ipython(), "kernel")


class NotebookBar:
    """A progress bar in the output of a cell, which is updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, step: int, steps: int, text: str) -> None:
        """Show that `step` of `steps` are done, with a text beside the bar."""
        from IPython import display

        bar = display.HTML(f'<progress value="{step}" max="{steps}" aria-label="training"></progress> {text}')  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display.display(bar, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bar)
