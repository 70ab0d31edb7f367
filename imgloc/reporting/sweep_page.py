"""The page of a sweep: one self-contained HTML file. A short script sorts its table; the page is complete without it."""

from __future__ import annotations

import base64
import collections
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgloc import files
from imgloc.errors import UserError
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Metric
from imgloc.reporting import sweep_charts, tables
from imgloc.reporting.parallel_coordinates import text_of
from imgloc.reporting.sweep_load import Sweep, SweepPoint, load_sweep
from imgloc.reporting.templates import FOLDER, render


@dataclass(frozen=True)
class PointRow:
    """A row of the table: texts to show, and what the script sorts by ("" last)."""

    point: SweepPoint
    cells: list[tuple[str, str]]  # of keys and metrics
    is_best: bool


def write_sweep_report(folder: Path, out: Path) -> Path:
    """Write the page of the sweep in a folder with sweep.json and return its path. Equal sweeps give equal bytes.

    Raises UserError where sweep.json cannot be read, or `out` does not end in .html.
    """
    if out.suffix.lower() not in (".html", ".htm") or (out.exists() and not out.is_file()):
        raise UserError(f"--out '{out}' is not the name of a web page; expected a file name that ends in .html")
    files.check_writable(out.parent)
    sweep = load_sweep(folder, out)
    script = (FOLDER / "sweep.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = render("sweep.html.j2", script=script, script_hash=f"sha256-{digest}", **_content(sweep))
    files.write_text(out, page)
    return out


def _content(sweep: Sweep) -> dict[str, object]:
    ranked = sweep.ranked
    best = ranked[0] if ranked else None
    states = collections.Counter(point.state for point in sweep.points)
    learning = sweep_charts.learning_curves(sweep)
    values = {sweep.value(point) for point in ranked}
    return {
        "sweep": sweep,
        "states": dict(states),
        "best": best,
        "best_value": _best_value(sweep, best),
        "all_equal": len(ranked) > 1 and len(values) == 1,
        "parallel": sweep_charts.parallel_coordinates(sweep) if sweep.keys else None,
        "importance": sweep_charts.importance_rows(sweep),
        "best_so_far": sweep_charts.best_so_far_chart(sweep),
        "learning": learning[0] if learning else None,
        "learning_key": learning[1] if learning else [],
        "configs": _configs(sweep),
        "rows": _rows(sweep),
    }


def _best_value(sweep: Sweep, best: SweepPoint | None) -> tables.Cell | None:
    value = sweep.value(best) if best else None
    if best is None or value is None:
        return None
    cell = tables.cell(sweep.metric, best.interval or Interval(value, value, value, 1))
    return cell if best.interval else tables.Cell(sweep.metric.text(value), "", None, 0.0, 0.0)


def _configs(sweep: Sweep) -> list[tuple[str, str, list[tables.Cell | None]]]:
    """(settings, seeds, cells of the metrics) of each config with several seeds, the best first."""
    if not any(group["points"] > 1 for group in sweep.groups):
        return []
    key, sign = sweep.metric.key, sweep.metric.sign

    def rank(metrics: dict[str, dict[str, float]]) -> float:
        return -sign * metrics[key]["mean"] if key in metrics else math.inf

    rows = []
    for group in sorted(sweep.groups, key=lambda group: rank(group["metrics"])):
        settings = ", ".join(f"{name}={text_of(value)}" for name, value in group["overrides"].items() if name in sweep.keys) or "recipe"
        seeds = str(len(group["seeds"])) + (f" of {group['points']}" if len(group["seeds"]) < group["points"] else "")
        rows.append((settings, seeds, [_seeds_cell(metric, group["metrics"].get(metric.key)) for metric in sweep.metrics]))
    return rows


def _seeds_cell(metric: Metric, entry: dict[str, float] | None) -> tables.Cell | None:
    if entry is None or entry["n"] > 1:
        return tables.cell(metric, Interval(**entry) if entry else None)  # type: ignore[arg-type]
    return tables.Cell(metric.text(entry["mean"]), "one seed", None, 0.0, 0.0)


def _rows(sweep: Sweep) -> list[PointRow]:
    """The rows of the table: the best point first, those without a value last."""
    ranked = sweep.ranked
    others = [point for point in sweep.points if point not in ranked]
    rows = []
    for point in (*ranked, *others):
        cells = [(text_of(point.values[key]), _sorted_by(point.values[key])) for key in sweep.keys]
        for metric in sweep.metrics:
            value = point.metrics.get(metric.key)
            cells.append(("\u2014", "") if value is None else (metric.text(value), f"{value!r}"))
        rows.append(PointRow(point, cells, bool(ranked) and point == ranked[0]))
    return rows


def _sorted_by(value: object) -> str:
    return repr(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else text_of(value)


def is_sweep(paths: Sequence[str | Path]) -> bool:
    """Return whether the only path is the folder of a sweep that has ended at least once."""
    return len(paths) == 1 and (Path(paths[0]) / "sweep.json").is_file() and not (Path(paths[0]) / "config.json").is_file()
