"""Whether runs that were made again agree with the recorded ones: first code, config and data, then each cell of the tables.

Recorded and new runs are paired by arm and seed. The interval of a cell is the mean over its runs of their 95 % intervals over images,
widened to the 95 % t interval over seeds where there are several runs. **A cell agrees if its new interval and the recorded interval
overlap.** Of two independent estimates with equal standard errors, 95 % intervals do not overlap in 0.6 % of all cases: a cell that
differs is unlikely to be chance. Another processor rounds differently, after which a run is like a run of another seed on the same
images: its values move within these intervals. The same machine, code and versions give the same bits, which is reported as `equal`,
so that a mistake that changes a value by less than the intervals is seen there.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imgloc.config import build
from imgloc.evaluation.statistics import Interval, t_interval
from imgloc.experiments.columns import average, done, values_of
from imgloc.experiments.declared import Experiment, Json
from imgloc.experiments.points import ExperimentPoint
from imgloc.experiments.records import comparable
from imgloc.runs.provenance import ABOVE, code_fingerprint, git_output


class Cell(NamedTuple):
    """A metric of an arm, recorded and new, over the same seeds."""

    arm: str
    metric: str
    split: str
    seeds: tuple[int, ...]
    recorded: Interval
    new: Interval | None  # None where a new run does not have the metric

    @property
    def verdict(self) -> str:
        """`equal` to the last digit that is stored, `agrees`, `differs`, or `missing`."""
        if self.new is None:
            return "missing"
        if self.recorded == self.new:
            return "equal"
        return "agrees" if self.new.low <= self.recorded.high and self.recorded.low <= self.new.high else "differs"


def cells(experiment: Experiment, recorded: Json, new: Json) -> Iterator[Cell]:
    """Yield every recorded metric in the tables for each arm of which both results have finished runs of one seed."""
    for arm, runs in new["runs"].items():
        of_seed = [{run["seed"]: run for run in done(each)} for each in (recorded.get("runs", {}).get(arm, []), runs)]
        seeds = tuple(sorted(set(of_seed[0]) & set(of_seed[1])))
        columns = {(column.split, column.metric): column for column in experiment.metric_columns(arm)}
        for (split, metric), column in columns.items():
            values = [values_of([each[seed] for seed in seeds], column) for each in of_seed]
            if len(values[0]) == len(seeds) > 0:
                new_interval = interval(values[1]) if len(values[1]) == len(seeds) else None
                yield Cell(arm, metric, split, seeds, interval(values[0]), new_interval)


def interval(values: Sequence[Json]) -> Interval:
    """Return the mean over runs, with the interval that contains their mean interval over images and their t interval over seeds."""
    means = [value["mean"] for value in values]
    low, high = (average([value[key] for value in values]) for key in ("low", "high"))
    if len(means) > 1:
        seeds = t_interval(means)
        low, high = min(low, seeds.low), max(high, seeds.high)
    return Interval(average(means), low, high, len(means))


def recorded_points(recorded: Json, planned: Sequence[ExperimentPoint]) -> list[tuple[ExperimentPoint, Json]]:
    """Return the points whose finished runs are recorded, with their records."""
    records = {(arm, run["seed"]): run for arm, runs in recorded.get("runs", {}).items() for run in done(runs)}
    return [(each, records[each.arm, each.seed]) for each in planned if (each.arm, each.seed) in records]


def differences(recorded: Json, pairs: Sequence[tuple[ExperimentPoint, Json]]) -> list[str]:
    """Return a line for each difference of code, config and data between the recorded runs and those that would be made now."""
    lines: list[str] = []
    for each, record in pairs:
        lines += _code(record, each.recipe)
        lines += _config(recorded.get("configs", {}).get(each.arm), each)
        lines += _data(record.get("data", {}), each)
    return list(dict.fromkeys(lines))


def not_recorded(recorded: Json, pairs: Sequence[tuple[ExperimentPoint, Json]]) -> list[str]:
    """Return what cannot be compared, because the results were written before it was recorded."""
    missing = {
        "configs": not all(each.arm in recorded.get("configs", {}) for each, _ in pairs),
        "fingerprints of data": not all(record.get("data") for _, record in pairs),
    }
    return [name for name, lacks in missing.items() if lacks]


def _code(record: Json, recipe: str) -> Iterator[str]:
    """A difference of the files that compute results: by the recorded fingerprint, else between the recorded commit and now."""
    if "code" in record and record["code"] == code_fingerprint():
        return
    commit, paths = record["commit"], ("imgloc", *_recipe_paths(recipe), *(f":(exclude)imgloc/{name}" for name in ABOVE))
    changed = _changed_files(commit, paths)
    if changed is None:
        yield f"the code may differ: this checkout does not have commit {commit[:7]} of the recorded runs"
    elif changed:
        others = f" and {len(changed) - 1} other files differ" if len(changed) > 1 else " differs"
        yield f"the code differs: {changed[0]}{others} from commit {commit[:7]} of the recorded runs"
    elif "code" in record or record["dirty"]:
        yield f"the code differs: the recorded runs were made with changes to commit {commit[:7]} that were not committed"


@functools.cache
def _changed_files(commit: str, paths: tuple[str, ...]) -> list[str] | None:
    """The files that differ between a commit and the working tree; None where it cannot be found out."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return None
    try:
        return git_output("diff", "--name-only", commit, "--", *paths).splitlines()
    except (OSError, subprocess.SubprocessError):
        return None


def _recipe_paths(recipe: str) -> list[str]:
    """The path of a recipe for git; none for a file outside this checkout, of which only the config is compared."""
    if re.fullmatch(r"\w+", recipe):
        return [f"configs/{recipe}.py"]
    path = Path(recipe).absolute()
    return [str(path)] if path.is_relative_to(Path(__file__).parents[2]) else []


def _config(stored: Json | None, each: ExperimentPoint) -> Iterator[str]:
    here, there = flattened(comparable(each)), flattened(stored or {})
    for key in [*here, *(key for key in there if key not in here)] if stored is not None else ():
        if here.get(key) != there.get(key):
            yield f"the config of arm '{each.arm}' differs: {key} is {here.get(key)!r}, recorded {there.get(key)!r}"
            return


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def _data(stored: Mapping[str, str], each: ExperimentPoint) -> Iterator[str]:
    config = each.point.config
    for split, recorded in stored.items():
        now = build.make_source(config.data, split, config.seed).fingerprint
        if now != recorded:
            yield f"the {split} data of arm '{each.arm}' differs: its fingerprint is {now}, recorded {recorded}"


def counted(found: Sequence[Cell]) -> str:
    """Return a sentence with the numbers of cells by verdict."""
    equal, agree = (sum(cell.verdict == verdict for cell in found) for verdict in ("equal", "agrees"))
    return f"{equal + agree} of {len(found)} cells agree, {equal} of them to the last digit"
