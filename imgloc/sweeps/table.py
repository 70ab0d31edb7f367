"""The results of a sweep: its summary, and a table of means over seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgloc.config.registry import declared
from imgloc.config.schema import fingerprint_without_seed
from imgloc.evaluation.statistics import t_interval
from imgloc.interfaces import Task
from imgloc.sweeps import folder
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point

if TYPE_CHECKING:
    from rich.table import Table

CAPTION = "mean over seeds ± half of its 95 % t interval; a single seed has no interval"


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
        groups.setdefault(fingerprint_without_seed(point.config), []).append((point, means))
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
