"""The live view of a sweep: a table of its points with their progress, or lines where there is no terminal."""

from __future__ import annotations

import collections
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from imgloc.config.registry import declared
from imgloc.evaluation.scoring import metric_of
from imgloc.interfaces import Task
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.progress import Progress
from imgloc.sweeps.progress import progress as read_progress
from imgloc.sweeps.progress import state as read_state

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATES = {"training": "cyan", "scoring": "cyan", "elsewhere": "blue", "failed": "red", "waiting": "dim", "finished": "green"}
MAX_LIVE_ROWS = 20  # points in the live table; the others are counted
WATCH_SECONDS = 1.0  # between looks at a folder


class Live:
    """Shows the progress of the points: a live table on a terminal, else a line for each change of state. It is an `executor.Show`."""

    def __init__(self, console: Console, sweep: SweepDir, todo: Sequence[Point], finished: int) -> None:
        from rich.live import Live

        self._console, self._sweep = console, sweep
        self._points = {point.name: point for point in todo}
        self._runs = folder.runs_by_identity(sweep)  # a run of an earlier version of the recipe may have another name
        self._states = {point.name: ("waiting", "") for point in todo}
        self._finished_before, self._count = finished, finished + len(todo)
        self._started = {point.name: math.nan for point in todo}
        self._ended: dict[tuple[str, str], Progress] = {}  # of a point in a state
        self._begun: tuple[float, int] | None = None  # time, and steps that were done then
        self._live = Live(console=console, get_renderable=self.table, refresh_per_second=2) if console.is_terminal else None

    def __call__(self, point: Point, state: str, note: str = "") -> None:
        """Report the state of a point, or a new note for the same state."""
        previous, _ = self._states[point.name]
        if previous not in ("training", "scoring") and state in ("training", "scoring"):
            self._started[point.name] = time.monotonic()
        if not math.isnan(self._started[point.name]) and state in ("finished", "failed"):
            seconds = time.monotonic() - self._started[point.name]
            note = f"{note}  " * bool(note) + f"after {seconds:,.0f} s"
        if previous == state == "finished":
            return
        self._states[point.name] = (state, note)
        if self._live is None and state != previous:
            done = self._finished_before + sum(state == "finished" for state, _ in self._states.values())
            text = f"{state}: {note}" if note else state
            self._console.print(f"{done}/{self._count} finished  {point.name}  {text}", markup=False, highlight=False, soft_wrap=True)

    def table(self) -> Table:
        """Return the table of the points now; running points come first."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        progress = {name: self._progress(name) for name in self._states}
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        ordered = sorted(self._states.items(), key=lambda item: list(STATES).index(item[1][0]))[:MAX_LIVE_ROWS]
        longest = max((len(name) for name, _ in ordered), default=0)
        for column, width in (("point", min(longest, 40)), ("state", max(map(len, STATES))), ("step", 9), ("best", 6), ("", None)):
            table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=width)  # notes are cut before names
        for name, (state, note) in ordered:
            now, steps = progress[name], self._points[name].config.train.steps
            best = "" if math.isnan(now.best) else f"{now.best:.3f}"
            text = "  ".join(filter(None, (now.note if state == "training" else "", note)))
            table.add_row(Text(name), Text(state, STATES[state]), f"{now.step}/{steps}" if now.step else "", best, Text(text))
        table.caption, table.caption_justify = self._caption(progress), "left"
        return table

    def _progress(self, name: str) -> Progress:
        state, _ = self._states[name]
        if state == "waiting":
            return Progress()
        if (name, state) not in self._ended:
            run = RunDir(self._sweep.path / name)
            run = run if run.config.is_file() else self._runs.get(self._points[name].identity, run)
            now = read_progress(self._sweep, run, self._points[name])
            if state not in ("finished", "failed"):
                return now
            steps = self._points[name].config.train.steps if state == "finished" else now.step
            self._ended[name, state] = dataclasses.replace(now, step=steps)
        return self._ended[name, state]

    def _caption(self, progress: Mapping[str, Progress]) -> str:
        counts = collections.Counter(state for state, _ in self._states.values())
        counts["finished"] += self._finished_before
        parts = [f"{count} {state}" for state, count in counts.items() if count]
        scored = [name for name, each in progress.items() if not math.isnan(each.best)]
        if scored:
            best = max(scored, key=lambda name: _sign(self._points[name]) * progress[name].best)
            metric = self._points[best].config.train.best_metric
            parts.append(f"best so far: {metric} {progress[best].best:.3f} on validation, {best}")
        left = self._seconds_left(progress)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return "  ".join(parts)

    def _seconds_left(self, progress: Mapping[str, Progress]) -> float | None:
        """Return the steps that are left, at the speed since the table was first shown; None while there is no speed."""
        now, done = time.monotonic(), sum(each.step for each in progress.values())
        if self._begun is None:
            self._begun = now, done
        total = sum(self._points[name].config.train.steps for name, (state, _) in self._states.items() if state != "failed")
        total += sum(progress[name].step for name, (state, _) in self._states.items() if state == "failed")
        speed = (done - self._begun[1]) / max(now - self._begun[0], 1e-9)
        return (total - done) / speed if speed > 0 and total > done else None

    def __enter__(self) -> Live:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


def watch(sweep: SweepDir, points: Sequence[Point], split: str, show: Callable[[Point, str, str], None]) -> dict[str, str]:
    """Show the states of points that other processes run, until all have ended; returns {name: error} of those that failed."""
    claims, left, failed = Claims(sweep.notes), list(points), dict[str, str]()
    while len(failed) < len(left):
        failed, unfinished, runs = {}, [], folder.runs_by_identity(sweep)
        for point in left:
            state, note = read_state(sweep, point, split, claims, runs)
            show(point, state, note)
            if state == "failed":
                failed[point.name] = note
            if state != "finished":
                unfinished.append(point)
        left = unfinished
        if len(failed) < len(left):
            time.sleep(WATCH_SECONDS)
    return failed


def duration(seconds: float) -> str:
    """Return a duration in its largest fitting unit."""
    unit, length = next((unit, length) for unit, length in (("h", 3600), ("min", 60), ("s", 0)) if seconds >= 2 * length)
    return f"{seconds / (length or 1):,.0f} {unit}"


def _sign(point: Point) -> float:
    return metric_of(point.config.train.best_metric, declared("tasks", point.config.task, Task).metrics).sign
