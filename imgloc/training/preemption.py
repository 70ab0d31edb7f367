"""Requests to stop training: SIGTERM or Ctrl-C sets a flag that the training loop reads between steps.

A process that another one started with FOLLOW_STDIN in its environment also stops when its standard input is closed.
The kernel closes it when the parent process ends, however it ends, so that no training continues without its parent.
Closing it also requests a stop only once, however many signals a scheduler sends to the process group.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Protocol

from imgloc.training.progress import reader_may_end

FOLLOW_STDIN = "IMGLOC_STOP_WITH_STDIN"  # an environment variable


class Stop(Protocol):
    """A request to stop training."""

    @property
    def requested(self) -> bool:
        """Whether training saves its state and ends."""


class StopRequest:
    """`requested` is True once SIGTERM or SIGINT has arrived after this object was created.

    `message` is printed when Ctrl-C arrives. As a context manager it restores the previous signal handlers.
    """

    def __init__(self, message: str = "stopping after this step") -> None:
        self._message = message
        self.requested = False
        self.interrupted = False  # by Ctrl-C; a second one ends the process immediately
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        if os.environ.get(FOLLOW_STDIN):
            threading.Thread(target=self._follow_stdin, daemon=True).start()

    def __enter__(self) -> StopRequest:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Restore the previous handlers; a signal then ends the process as it would have before."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not installed by Python
        self._previous = {}

    def _follow_stdin(self) -> None:
        while os.read(0, 1024):
            pass
        self.requested = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            with reader_may_end(sys.stderr):
                sys.stderr.write(f"\n{self._message}; press Ctrl-C again to stop immediately\n")
        elif self.requested:  # the second SIGTERM ends the process at once, also while it waits
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = True
