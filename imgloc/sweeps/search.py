"""Searches: the points of `search()` of a recipe, each chosen from the validation results of those before it.

`search.json` in the folder of the sweep has the values of each point before it is trained. Together with the run folders it is the
whole state: a search that is killed and started again computes the same results from them, and goes on. Each suggestion depends on
(seed, number of the point) and on the earlier results alone. Optuna (Akiba et al., 2019, arXiv:1907.10902) makes the suggestions and
decides which points stop early; a point that goes on to the next rung resumes its run.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config.recipes import load_recipe, read_recipe
from imgloc.config.registry import declared
from imgloc.config.schema import copied
from imgloc.errors import UserError, reason
from imgloc.evaluation.scoring import metric_of
from imgloc.interfaces import Metric, Task
from imgloc.randomness import generator
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder, spaces
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point, expand
from imgloc.sweeps.points import check as check_points
from imgloc.sweeps.progress import latest_step
from imgloc.sweeps.spaces import Range, Search

if TYPE_CHECKING:
    import optuna

FILE = "search.json"
Train = Callable[[Point, int], str]  # trains a point up to a step, 0 for the last one; returns its error, or ""
Report = Callable[[str], None]


def read_search(recipe: str) -> Search | None:
    """Return what `search()` of a recipe returns, or None where it has none. Raises UserError where it fails."""
    search = getattr(load_recipe(recipe), "search", None)
    if not callable(search):
        return None
    try:
        found = search()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"search() of '{recipe}' fails: {reason(error)}") from error
    if not isinstance(found, Search):
        raise UserError(f"search() of '{recipe}' must return a Search of imgloc.sweeps.spaces, got {type(found).__name__}")
    return found


def check(search: Search, recipe: str, arguments: Sequence[str]) -> Point:
    """Check the first point of a search, and that validation gives its metric; returns the point and writes nothing.

    Raises UserError as `points.check` does, where Optuna is missing, and for keys that a search needs as they are.
    """
    optuna = _import_optuna()
    base = read_recipe(recipe)
    plan = _plan(search, expand(base, [dict(search.fixed)], arguments)[0].config)
    first = expand(base, [{**search.fixed, **_suggest(optuna, search, plan, [], 0)}], arguments)[0]
    config = copied(first.config)
    config.train.best_metric = plan.metric.key  # so that it is checked as that of a training
    title = f"the first point of search() with the metric '{plan.metric.key}'"
    check_points([dataclasses.replace(first, config=config, title=title)], "validation", lambda _: None)
    return first


def run_search(
    search: Search, recipe: str, sweep: SweepDir, arguments: Sequence[str], train: Train, report: Report
) -> dict[str, Any] | None:
    """Train the points of a search and return the content of sweep.json; None where training was stopped.

    Raises UserError where Optuna is missing, for keys that a search needs as they are, and for the folder of another search.
    """
    optuna = _import_optuna()
    base = read_recipe(recipe)
    plan = _plan(search, expand(base, [dict(search.fixed)], arguments)[0].config)
    described = {"search": _described(search), "arguments": list(arguments)}
    records = _read_records(sweep, described)
    history: list[Any] = []
    entries: list[dict[str, Any]] = []
    for number in range(search.points):
        if number == len(records):
            records.append(_suggest(optuna, search, plan, history, number))
            files.write_json(sweep.path / FILE, {**described, "points": records})
        point = expand(base, [{**search.fixed, **records[number]}], arguments)[0]
        # A new study each time: it is a function of the earlier results, not of what happened in this process.
        study = _study(optuna, search, plan, history, number)
        study.enqueue_trial(_to_optuna(search.space, records[number]))
        entry = _run_trial(optuna, study, study.ask(_distributions(optuna, search.space)), plan, folder.run_of(sweep, point), point, train)
        if entry is None:
            return None
        history = study.get_trials()
        entries.append(entry)
        report(f"point {number + 1} of {search.points}  {point.name}  {entry['state']}{_value_text(plan.metric, entry)}")
    return _summary(plan, entries)


@dataclass(frozen=True)
class _Plan:
    metric: Metric
    rungs: Sequence[int]  # the steps after which a point may be stopped, and the last step


def _plan(search: Search, config: ConfigDict) -> _Plan:
    """Return the metric and the rungs; each rung is a step of a validation."""
    every, last = config.train.eval_every, config.train.steps
    fixed = [key for key in ("train.steps", "train.epochs", "train.eval_every", "train.best_metric") if key in search.space]
    if fixed:
        raise UserError(f"'{fixed[0]}' cannot be searched, because it decides how points are compared; set it in get_config()")
    if not every:
        raise UserError("train.eval_every must be at least 1 for a search, which compares results on validation, got 0")
    step, rungs = search.first_rung or every, list[int]()
    while step < last and search.pruner != "none":
        rungs.append(math.ceil(step / every) * every)
        step *= search.reduction
    metric = metric_of(search.metric or config.train.best_metric, declared("tasks", config.task, Task).metrics)
    return _Plan(metric, [*(rung for rung in dict.fromkeys(rungs) if rung < last), last])


def _run_trial(
    optuna: Any, study: optuna.Study, trial: optuna.Trial, plan: _Plan, run: RunDir, point: Point, train: Train
) -> dict[str, Any] | None:
    """Train a point from rung to rung; returns its entry of sweep.json, or None where training was stopped before a rung."""
    entry: dict[str, Any] = {"name": point.name, "overrides": dict(point.overrides)}
    best = math.nan
    for step in plan.rungs:
        error = "" if _has_reached(run, step) else train(point, step if step < plan.rungs[-1] else 0)
        if not error and not _has_reached(run, step):
            return None
        found = None if error else _best(run, plan.metric, step)
        if found is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return {**entry, "state": "failed", "error": error or f"{plan.metric.key} is never finite on validation"}
        best = found
        trial.report(best, step)
        is_worse = trial.should_prune()  # asked at every rung, because Optuna stores the answers for later points
        if is_worse and step < plan.rungs[-1] and not _has_ended(run, step):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return {**entry, "state": "pruned", "run": run.path.name, "steps": step, "metrics": {plan.metric.key: best}}
    study.tell(trial, best)
    return {**entry, "state": "finished", "run": run.path.name, "metrics": {plan.metric.key: best}}


def _has_reached(run: RunDir, step: int) -> bool:
    """Return whether the state of a step, or of a later one, is saved; a run that ended early has reached every step."""
    return run.finished.is_file() or latest_step(run) >= step


def _has_ended(run: RunDir, step: int) -> bool:
    """Return whether the run had ended by this step, such as by train.patience. What it did later does not count."""
    return run.finished.is_file() and int(run.read(run.finished)["last_step"]) <= step


def _best(run: RunDir, metric: Metric, step: int) -> float | None:
    """Return the best value on validation up to a step, or None where none is finite."""
    records = [record for record in read_metrics(run.metrics) if record["kind"] == "validation" and record["step"] <= step]
    values = [float(record[metric.key]) for record in records if record.get(metric.key) is not None]
    return metric.sign * max(metric.sign * value for value in values) if values else None


def _suggest(optuna: Any, search: Search, plan: _Plan, history: Sequence[Any], number: int) -> dict[str, Any]:
    """Return the values of the next point."""
    if search.sampler != "tpe":
        listed = spaces.sobol if search.sampler == "sobol" else spaces.random
        return list(listed(search.space, search.points, seed=search.seed))[number]
    trial = _study(optuna, search, plan, history, number).ask(_distributions(optuna, search.space))
    return {key: spaces.rounded(values, trial.params[key]) for key, values in search.space.items()}


def _study(optuna: Any, search: Search, plan: _Plan, history: Sequence[Any], number: int) -> optuna.Study:
    """Return a study with the earlier points, whose sampler depends on the number of the next one."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    first, last, reduction = plan.rungs[0], plan.rungs[-1], search.reduction
    if search.pruner == "halving":
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=reduction)
    elif search.pruner == "hyperband":
        pruner = optuna.pruners.HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=reduction)
    else:
        pruner = optuna.pruners.NopPruner()
    sampler = optuna.samplers.TPESampler(seed=int(generator(search.seed, "tpe", number).integers(2**31)))
    direction = "maximize" if plan.metric.higher_is_better else "minimize"
    study: optuna.Study = optuna.create_study(study_name="imgloc", sampler=sampler, pruner=pruner, direction=direction)
    study.add_trials(history)
    return study


def _distributions(optuna: Any, space: spaces.Space) -> dict[str, Any]:
    """Return the distributions of Optuna; values that are not a range are chosen by their index, as they may be of any type."""
    found = {}
    for key, values in space.items():
        if isinstance(values, Range):
            kind = optuna.distributions.IntDistribution if values.whole else optuna.distributions.FloatDistribution
            found[key] = kind(values.low, values.high, log=values.log)
        else:
            found[key] = optuna.distributions.CategoricalDistribution(tuple(range(len(values))))
    return found


def _to_optuna(space: spaces.Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of Optuna for the values of a point, which JSON may have made lists."""

    def parameter(possible: spaces.Values, value: Any) -> Any:
        return value if isinstance(possible, Range) else [json.dumps(each) for each in possible].index(json.dumps(value))

    return {key: parameter(space[key], value) for key, value in values.items()}


def _described(search: Search) -> dict[str, Any]:
    """Return what identifies a search, as plain JSON; more points continue the same search."""
    described: dict[str, Any] = json.loads(json.dumps({**dataclasses.asdict(search), "space": _plain(search.space)}))
    del described["points"]
    return described


def _plain(space: spaces.Space) -> dict[str, Any]:
    return {key: dataclasses.asdict(values) if isinstance(values, Range) else list(values) for key, values in space.items()}


def _read_records(sweep: SweepDir, described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the values of the points so far. Raises UserError where the folder belongs to another search."""
    path = sweep.path / FILE
    if not path.is_file():
        return []
    try:
        stored = files.read_json(path)
        points = [dict(values) for values in stored.pop("points")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"'{path}' is damaged; restore it, or search in another --workdir") from error
    if stored != described:
        raise UserError(f"'{path}' is of another search; undo the change of search() or of the overrides, or choose another --workdir")
    return points


def _summary(plan: _Plan, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of sweep.json. Each config is a group of its own, as a search compares configs of one seed."""
    groups = []
    for entry in entries:
        value = entry.get("metrics", {}).get(plan.metric.key) if entry["state"] == "finished" else None
        metrics = {} if value is None else {plan.metric.key: {"mean": value, "low": None, "high": None, "n": 1}}
        groups.append({"overrides": entry["overrides"], "headline_metrics": [plan.metric.key], "best_metric": plan.metric.key,
                       "seeds": [0] if metrics else [], "points": 1, "metrics": metrics})  # fmt: skip
    return {"split": "validation", "points": list(entries), "groups": groups}


def _value_text(metric: Metric, entry: Mapping[str, Any]) -> str:
    if "error" in entry:
        return f": {entry['error']}"
    return f"  {metric.key} {entry['metrics'][metric.key]:.3f}"


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UserError("a search needs the package optuna; pip install 'imgloc[search]'") from error
    return optuna
