"""A polite request to stop: SIGTERM or Ctrl-C sets a flag that the training loop looks at between steps."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType


class StopRequest:
    """Whether SIGTERM or SIGINT has come since this was made; ask with `requested`."""

    def __init__(self) -> None:
        self.requested = False
        self.interrupted = False  # by Ctrl-C; a second one stops at once
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handle)
            signal.signal(signal.SIGINT, self._handle)

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
