"""Columns of tables: metrics in several forms, times and sizes of training steps, and texts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence

from imgloc.evaluation.statistics import t_interval
from imgloc.experiments.declared import Column, Form, Json, Runs


def over_seeds(digits: int = 2, *, empty: str = "", clip: bool = True) -> Form:
    """Return a form: the mean in per cent with its 95 % t interval over seeds [low, high]; of one run, its value alone."""

    def form(values: Sequence[Json]) -> str:
        means = [value["mean"] for value in values]
        if len(means) < 2:
            return f"{100 * means[0]:.{digits}f}" if means else empty
        found = t_interval(means)
        low, high = (max(found.low, 0.0), min(found.high, 1.0)) if clip else (found.low, found.high)
        return f"{100 * found.mean:.{digits}f} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"

    return form


def over_images(digits: int = 1, *, pattern: str = "{} ({} to {})", scale: float = 100) -> Form:
    """Return a form: the value of the first run with its 95 % interval over the test images."""

    def form(values: Sequence[Json]) -> str:
        numbers = [f"{scale * values[0][key]:.{digits}f}" for key in ("mean", "low", "high")] if values else []
        return pattern.format(*numbers) if numbers else ""

    return form


def over_seeds_or_images(digits: int = 1, *, pattern: str = "{} ({} to {})", clip: bool = True) -> Form:
    """Return a form: `over_seeds` of several runs, and `over_images` of one."""
    several, one = over_seeds(digits, clip=clip), over_images(digits, pattern=pattern)
    return lambda values: one(values) if len(values) == 1 else several(values)


def median_range(form: str = ".3f", *, dash: str = " to ") -> Form:
    """Return a form: the median over the runs with the lowest and the highest; of one run, its value alone."""
    return lambda values: spread([value["mean"] for value in values], form, dash)


def spread(values: Sequence[float], form: str, dash: str = " to ") -> str:
    """Return the median of numbers with the lowest and the highest; "-" without numbers."""
    if len(values) < 2:
        return f"{values[0]:{form}}" if values else "-"
    return f"{statistics.median(values):{form}} ({min(values):{form}}{dash}{max(values):{form}})"


def lowest_highest(digits: int) -> Form:
    """Return a form: the lowest and the highest in per cent."""
    return lambda values: ", ".join(f"{100 * extreme(value['mean'] for value in values):.{digits}f}" for extreme in (min, max) if values)


def metric(
    key: str,
    title: str,
    form: Form | None = None,
    *,
    split: str = "",
    arm: str = "",
    error: bool = False,
    in_baseline_rows: bool = True,
    hidden_for: Collection[str] = (),
) -> Column:
    """Return a column with a metric of the test images; see `Column`."""
    return Column(title, None, key, split, form or over_seeds(), error, arm, in_baseline_rows, tuple(hidden_for))


def count(title: str) -> Column:
    """Return a column with the number of finished runs."""
    return Column(title, lambda _results, _name, runs: str(len(done(runs))))


def training_time(title: str, unit: str = "s", of: Callable[[Sequence[float]], float] = statistics.median, empty: str = "") -> Column:
    """Return a column with the wall time of training in seconds ("s", or "" without the unit) or minutes ("min")."""

    def text(_: Json, __: str, runs: Runs) -> str:
        seconds = [run["seconds"] for run in done(runs)]
        return f"{of(seconds) / (60 if unit == 'min' else 1):.0f} {unit}".strip() if seconds else empty

    return Column(title, text)


def steps(title: str = "steps") -> Column:
    """Return a column with the number of training steps."""
    return Column(title, lambda _results, _name, runs: f"{done(runs)[0]['steps']:,}" if done(runs) else "")


def parameters(title: str = "parameters") -> Column:
    """Return a column with the number of parameters (of --measure)."""
    return measured(title, "parameters", lambda value: f"{value:,}")


def milliseconds(title: str, digits: int = 1) -> Column:
    """Return a column with the milliseconds of a training step (of --measure)."""
    return measured(title, "ms", lambda value: f"{value:.{digits}f}")


def measured(title: str, key: str, text: Callable[[float], str]) -> Column:
    """Return a column with a value that --measure has stored; "-" without it."""

    def cell(results: Json, name: str, _: Runs) -> str:
        timing = step_times_of(results, name)
        return text(timing[key]) if key in timing else "-"

    return Column(title, cell)


def noted(title: str, notes: Mapping[str, str], default: str = "") -> Column:
    """Return a column with a text for each arm, such as published values."""
    return Column(title, lambda _results, name, _runs: notes.get(name, default))


def step_times_of(results: Json, name: str) -> Json:
    """Return what --measure has stored of an arm."""
    timing: Json = results.get("steps", {}).get("arms", {}).get(name, {})
    return timing


def done(runs: Runs) -> list[Json]:
    """Return the finished runs."""
    return [run for run in runs if "results" in run]


def values_of(runs: Runs, column: Column) -> list[Json]:
    """Return the value of a column's metric, and its interval over images, for each finished run that has it."""
    found = [run["results"].get(column.split, {}).get(column.metric) for run in done(runs)]
    values = [value for value in found if value is not None]
    if not column.error:
        return values
    return [{**value, "mean": 1 - value["mean"], "low": 1 - value["high"], "high": 1 - value["low"]} for value in values]


def average(values: Sequence[float]) -> float:
    """Return the mean of numbers."""
    return math.fsum(values) / len(values)
