"""A polite request to stop: SIGTERM sets a flag that the training loop looks at between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopRequest:
    """Whether SIGTERM has come since this was made; ask with `requested`."""

    def __init__(self) -> None:
        self.requested = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
