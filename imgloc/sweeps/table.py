"""The output of a sweep: its progress, and at its end the means over seeds."""

from __future__ import annotations

import collections
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from imgloc.config.registry import declared
from imgloc.evaluation.statistics import t_interval
from imgloc.interfaces import Task
from imgloc.sweeps import folder
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point, without_seed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATES = {"training": "cyan", "scoring": "cyan", "elsewhere": "blue", "failed": "red", "waiting": "dim", "finished": "green"}
MAX_LIVE_ROWS = 20  # points in the live table; the others are counted
CAPTION = "mean over seeds ± half of its 95 % t interval; a single seed has no interval"


class Live:
    """Shows the progress of the points: a live table on a terminal, else a line for each change of state. Call it as `run.Show`."""

    def __init__(self, console: Console, todo: Sequence[Point], finished: int) -> None:
        from rich.live import Live

        self._console = console
        self._states = {point.name: ("waiting", "") for point in todo}
        self._finished_before, self._count = finished, finished + len(todo)
        self._started = {point.name: math.nan for point in todo}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=2) if console.is_terminal else None

    def __call__(self, point: Point, state: str, note: str = "") -> None:
        """Report the state of a point, or a new note for the same state."""
        previous, _ = self._states[point.name]
        if previous not in ("training", "scoring") and state in ("training", "scoring"):
            self._started[point.name] = time.monotonic()
        if not math.isnan(self._started[point.name]) and state in ("finished", "failed"):
            seconds = time.monotonic() - self._started[point.name]
            note = f"{note}  " * bool(note) + f"after {seconds:,.0f} s"
        self._states[point.name] = (state, note)
        if self._live is None and state != previous:
            done = self._finished_before + sum(state == "finished" for state, _ in self._states.values())
            text = f"{state}: {note}" if note else state
            self._console.print(f"{done}/{self._count} finished  {point.name}  {text}", markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        ordered = sorted(
            self._states.items(), key=lambda item: list(STATES).index(item[1][0])
        )  # running points come first; the sort is stable
        longest = max((len(name) for name, _ in ordered[:MAX_LIVE_ROWS]), default=0)
        for column, width in (("point", min(longest, 40)), ("", max(map(len, STATES))), ("", None)):  # notes are cut before names
            table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=width)
        for name, (state, note) in ordered[:MAX_LIVE_ROWS]:
            table.add_row(Text(name), Text(state, STATES[state]), Text(note))
        counts = collections.Counter(state for state, _ in self._states.values())
        counts["finished"] += self._finished_before
        table.caption = "  ".join(f"{count} {state}" for state, count in counts.items() if count)
        table.caption_justify = "left"
        return table

    def __enter__(self) -> Live:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


def summary(sweep: SweepDir, points: Sequence[Point], split: str, failed: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of sweep.json: the metrics of each point, and their means over the seeds of each config with t intervals.

    It depends on the results of the finished points alone, not on when or in how many sessions they were run.
    """
    runs = folder.runs_by_identity(sweep)
    entries = []
    groups: dict[str, list[tuple[Point, dict[str, float]]]] = {}
    for point in points:
        run = None if point.name in failed else folder.run_of(sweep, point, runs)
        means: dict[str, float] = {}
        entry: dict[str, Any] = {"name": point.name, "overrides": dict(point.overrides)}
        if run is None:
            entry |= {"state": "failed", "error": failed[point.name]}
        elif folder.is_scored(run, point, split):
            means = {name: value["mean"] for name, value in run.known_results()[split].items() if "/" not in name}
            entry |= {"state": "finished", "run": run.path.name, "metrics": means}
        else:
            entry["state"] = "unfinished"
        entries.append(entry)
        groups.setdefault(without_seed(point.config), []).append((point, means))
    return {"split": split, "points": entries, "groups": [_group(members) for members in groups.values()]}


def _group(members: Sequence[tuple[Point, Mapping[str, float]]]) -> dict[str, Any]:
    """Return the entry of one config: its scored seeds, and the mean and interval of each metric over them."""
    scored = [(point.config.seed, means) for point, means in members if means]
    metrics = {}
    for name in scored[0][1] if scored else ():
        values = [means[name] for _, means in scored if name in means]
        single = {"mean": values[0], "low": None, "high": None, "n": 1}
        metrics[name] = single if len(values) == 1 else dataclasses.asdict(t_interval(values))
    first = members[0][0]
    return {
        "overrides": {key: value for key, value in first.overrides.items() if key != "seed"},
        "headline_metrics": list(declared("tasks", first.config.task, Task).headline_metrics),
        "best_metric": first.config.train.best_metric,
        "seeds": [seed for seed, _ in scored],
        "points": len(members),
        "metrics": metrics,
    }


def seeds_table(summary: Mapping[str, Any]) -> Table:
    """Return a table of the headline metrics of each config of a summary over its seeds, and of the metric of the best checkpoint."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    groups = summary["groups"]
    headlines = [name for group in groups for name in group["headline_metrics"]]
    names = dict.fromkeys([*headlines, *(group["best_metric"] for group in groups)])
    columns = [name for name in names if any(name in group["metrics"] for group in groups)]
    table = Table(caption=CAPTION, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption_justify = "left"
    table.add_column("config", overflow="fold")
    table.add_column("seeds", justify="right")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        settings = ", ".join(f"{key}={value}" for key, value in group["overrides"].items()) or "recipe"
        count = str(len(group["seeds"])) + (f" of {group['points']}" if len(group["seeds"]) < group["points"] else "")
        table.add_row(Text(settings), count, *(_cell(group["metrics"].get(name)) for name in columns))
    return table


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    return f"{entry['mean']:.3f}" + (f" ± {entry['high'] - entry['mean']:.3f}" if entry["n"] > 1 else "")
