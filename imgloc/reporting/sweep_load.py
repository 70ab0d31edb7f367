"""Loading of a sweep for its page: sweep.json, and the logs and results of its run folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Metric
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir, open_run


@dataclass(frozen=True)
class SweepPoint:
    """A point of a sweep. `values` has each key that differs between points; `curve` the steps and values of its validation."""

    number: int  # from 1, in the order of the sweep
    name: str
    state: str  # finished, failed or unfinished
    error: str
    values: Mapping[str, object]
    metrics: Mapping[str, float]
    interval: Interval | None  # of the metric of the page, over images
    curve: Sequence[tuple[float, float]]
    link: str  # to its report, or else to its run folder; "" where it has none

    @property
    def config_values(self) -> dict[str, object]:
        """The values that differ, without the seed."""
        return {key: value for key, value in self.values.items() if key != "seed"}


@dataclass(frozen=True)
class Sweep:
    """A sweep as its page shows it; `metric` ranks the points and `metrics` are those of the table."""

    name: str
    split: str
    points: list[SweepPoint]
    keys: list[str]  # that differ between points
    metric: Metric
    metrics: list[Metric]
    groups: Sequence[Mapping[str, Any]]  # of sweep.json: the configs with their means over seeds

    def value(self, point: SweepPoint) -> float | None:
        """The metric of a finished point, or None."""
        return point.metrics.get(self.metric.key) if point.state == "finished" else None

    @property
    def ranked(self) -> list[SweepPoint]:
        """The points with a value, the best first, in the order of the sweep where they are equal."""
        scored = [point for point in self.points if self.value(point) is not None]
        return sorted(scored, key=lambda point: -self.metric.sign * (self.value(point) or 0.0))


def load_sweep(folder: Path, page: Path) -> Sweep:
    """Load the folder of a sweep; `page` is where links start from. Raises UserError where sweep.json is damaged."""
    try:
        summary = files.read_json(folder / "sweep.json")
        entries, groups, split = summary["points"], summary["groups"], str(summary["split"])
        requested = [name for group in groups for name in (group["best_metric"], *group["headline_metrics"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"'{folder / 'sweep.json'}' cannot be read; run the sweep again, which writes it") from error
    keys = _different_keys(entries)
    runs = [folder / str(entry["run"]) if "run" in entry else None for entry in entries]
    metric, metrics = _metrics(requested, entries, next(filter(None, runs), None))
    numbered = enumerate(zip(entries, runs, strict=True), start=1)
    points = [_point(number, entry, run, keys, metric, (split, page)) for number, (entry, run) in numbered]
    return Sweep(folder.absolute().name, split, points, keys, metric, metrics, groups)


def _different_keys(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = list(dict.fromkeys(key for entry in entries for key in entry["overrides"]))
    return [key for key in keys if len({repr(entry["overrides"].get(key)) for entry in entries}) > 1]


def _metrics(requested: Sequence[str], entries: Sequence[Mapping[str, Any]], run: Path | None) -> tuple[Metric, list[Metric]]:
    """Return the metric that ranks the points and those of the table; a run names the modules that declare further ones."""
    modules: tuple[str, ...] = ()
    if run is not None and RunDir(run).config.is_file():
        modules = tuple(open_run(str(run))[1].eval.metrics)
    known = {name for entry in entries for name in entry.get("metrics", {})}
    names = [name for name in dict.fromkeys(requested) if name in known] or sorted(known) or [*requested, ""][:1]
    metrics = [scoring.metric_of(name, modules) for name in names]
    return metrics[0], metrics


def _point(
    number: int, entry: Mapping[str, Any], run: Path | None, keys: Sequence[str], metric: Metric, place: tuple[str, Path]
) -> SweepPoint:
    """Return a point of sweep.json with what its run folder has. `place` is the split, and the page that links start from."""
    split, page = place
    values = {key: entry["overrides"].get(key, "\u2014") for key in keys}
    interval, link = None, ""
    curve: list[tuple[float, float]] = []
    if run is not None and run.is_dir():
        target = run / "report.html" if (run / "report.html").is_file() else run
        link = Path(os.path.relpath(target, page.parent)).as_posix() + ("/" if target == run else "")
        saved = RunDir(run).known_results().get(split, {}).get(metric.key)
        with contextlib.suppress(TypeError):
            interval = Interval(**saved) if saved else None
        records = [record for record in read_metrics(RunDir(run).metrics) if record["kind"] == "validation"]
        curve = [(record["step"], record[metric.key]) for record in records if isinstance(record.get(metric.key), (int, float))]
    error, metrics = str(entry.get("error", "")), entry.get("metrics", {})
    return SweepPoint(number, str(entry["name"]), str(entry["state"]), error, values, metrics, interval, curve, link)
