"""A polite request to stop: SIGTERM or Ctrl-C sets a flag that the training loop looks at between steps.

A process that another one started with FOLLOW_STDIN in its environment also stops when its standard input
is closed. The kernel closes it when that other process ends, in whatever way, so nothing is left behind
that trains on; and closing it asks once, however many signals a scheduler sends to the whole group.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

FOLLOW_STDIN = "IMGLOC_STOP_WITH_STDIN"  # an environment variable


class StopRequest:
    """Whether SIGTERM or SIGINT has come since this was made; ask with `requested`."""

    def __init__(self) -> None:
        self.requested = False
        self.interrupted = False  # by Ctrl-C; a second one stops at once
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handle)
            signal.signal(signal.SIGINT, self._handle)
        if os.environ.get(FOLLOW_STDIN):
            threading.Thread(target=self._follow_stdin, daemon=True).start()

    def _follow_stdin(self) -> None:
        while os.read(0, 1024):
            pass
        self.requested = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            sys.stderr.write("\nstopping after this step; Ctrl-C again stops at once\n")
        elif self.requested:  # asked for the second time: end now, whatever is being waited for
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = True
