"""A profiler trace of a few training steps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import jax
from jaxtyping import PyTree

PROFILED_STEPS = (10, 20)  # the first and the last step of a process that --profile records; by then everything is compiled


class Profiler:
    """Writes a trace of PROFILED_STEPS to a folder (open it with Perfetto or TensorBoard); does nothing where `folder` is None."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._stage: Literal["waiting", "running", "finished"] = "finished" if folder is None else "waiting"

    def before_step(self, number: int, state: PyTree) -> None:
        """Start or stop the trace before a step, counted from the start of this process; waits for the state at both ends."""
        if self._stage == "waiting" and number >= PROFILED_STEPS[0]:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self._folder))
            self._stage = "running"
        elif self._stage == "running" and number >= PROFILED_STEPS[1]:
            jax.block_until_ready(state)
            self.__exit__()

    def __enter__(self) -> Profiler:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stage == "running":
            jax.profiler.stop_trace()
            self._stage = "finished"
