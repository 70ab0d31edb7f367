"""results.json of an experiment: what it keeps of each run folder, and merging new runs into it.

runs      name of an arm -> records of its runs: seed, provenance, validation curve, and results by split and metric
configs   name of an arm -> the config of its runs without seed, folder of the data and devices
steps     the times of training steps (`imgloc experiment --measure`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError, one_line
from imgloc.experiments.declared import Experiment, Json, Table
from imgloc.experiments.points import ExperimentPoint
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder as folders
from imgloc.sweeps.folder import SweepDir


def results_path(folder: Path) -> Path:
    """Return the path of results.json of an experiment."""
    return folder / "results.json"


def read_results(folder: Path) -> Json:
    """Return the results of an experiment; {} where there are none yet. Raises UserError for a file that is not JSON."""
    path = results_path(folder)
    try:
        saved: Json = files.read_json(path) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"'{path}' is not JSON ({one_line(error)}); restore it") from error
    runs = saved.get("runs", {})
    for name, records in runs.items():
        if isinstance(records, Mapping):  # by seed, with `scores` of the test split, as an earlier version wrote them
            runs[name] = [_upgraded(int(seed), record) for seed, record in records.items()]
    return saved


def _upgraded(seed: int, record: Json) -> Json:
    scores = record.pop("scores", None)
    return {"seed": seed, **record, **({"results": {"test": scores}} if scores is not None else {})}


def gathered(experiment: Experiment, sweep: SweepDir, planned: Sequence[ExperimentPoint]) -> Json:
    """Return `runs` and `configs` of the points that have run folders; of unfinished ones, the validation curve so far."""
    known = folders.runs_by_identity(sweep)
    found: Json = {"runs": {}, "configs": {}}
    for each in planned:
        run, metrics = folders.run_of(sweep, each.point, known), _metrics(experiment, each.arm)
        record: Json = {"seed": each.seed}
        if is_finished(experiment, run, each):
            record |= kept(run.path, _splits(experiment, each.arm), metrics, each.folder)
        elif sweep.failed(each.point).exists():
            record |= {"failed": files.read_json(sweep.failed(each.point))["error"], "validation": validation_curve(run.path, metrics)}
        elif curve := validation_curve(run.path, metrics):
            record |= {"unfinished": curve[-1][0], "validation": curve}
        else:
            continue
        if experiment.extra_values is not None and "unfinished" not in record and run.metrics.exists():
            record |= experiment.extra_values(run.path)
        found["runs"].setdefault(each.arm, []).append(record)
        found["configs"][each.arm] = comparable(each)
    return found


def merged(experiment: Experiment, saved: Json, found: Json) -> Json:
    """Return results with newly gathered runs in place of those of the same arm and seed. An unfinished run replaces no finished one.

    Runs of other arms are kept, also those that the experiment no longer has. Raises UserError where an arm would have finished runs
    of two configs.
    """
    runs = {}
    for name in dict.fromkeys([*experiment.arms, *saved.get("runs", {})]):
        by_seed = {record["seed"]: record for record in saved.get("runs", {}).get(name, [])}
        new = {record["seed"]: record for record in found["runs"].get(name, [])}
        new = {seed: record for seed, record in new.items() if "results" in record or "results" not in by_seed.get(seed, {})}
        remaining = [seed for seed, record in by_seed.items() if "results" in record and seed not in new]
        before, now = (each.get("configs", {}).get(name) for each in (saved, found))
        if remaining and None not in (before, now) and before != now:
            problem = f"results.json has runs of arm '{name}' (seed {remaining[0]}) with another config"
            raise UserError(f"{problem}; run all seeds of the arm again, or rename the arm")
        if by_seed | new:
            runs[name] = [(by_seed | new)[seed] for seed in sorted(by_seed | new)]
    return {**saved, "configs": {**saved.get("configs", {}), **found["configs"]}, "runs": runs}


def is_finished(experiment: Experiment, run: RunDir, each: ExperimentPoint) -> bool:
    """Return whether a run is trained, and scored by all evaluations of its arm."""
    expected = {evaluation.split for evaluation in experiment.arms[each.arm].evaluations}
    return folders.is_scored(run, each.point, "test") and expected <= set(run.known_results())


def comparable(each: ExperimentPoint) -> Json:
    """Return the config of a point without seed, folder of the data and devices, which may differ between two machines."""
    values = configs.identity(configs.to_json(each.point.config))
    del values["seed"]
    if each.folder:
        del values["data"]["options"]["folder"]
    return values


def _splits(experiment: Experiment, name: str) -> list[str]:
    """The keys of results that tables show of an arm: splits of metrics, and baselines."""
    tables = [table for table in experiment.tables if isinstance(table, Table) and name in _arms(experiment, table)]
    baselines = [key for table in tables for key in table.baselines]
    return list(dict.fromkeys(["test", *(column.split for column in experiment.metric_columns(name)), *baselines]))


def _arms(experiment: Experiment, table: Table) -> set[str]:
    return {row.replace("{}", column.arm) for row in experiment.rows(table) for column in table.columns}


def _metrics(experiment: Experiment, name: str) -> list[str]:
    """The keys of the metrics that tables show of an arm."""
    return list(dict.fromkeys([*(column.metric for column in experiment.metric_columns(name)), *experiment.extra_metrics]))


def kept(run: Path, splits: Sequence[str], metrics: Sequence[str], folder: str) -> Json:
    """Return the record of a finished run: its provenance, validation curve, and metrics of the splits it was scored on."""
    provenance, scored = files.read_json(run / "provenance.json"), files.read_json(run / "results.json")
    sessions = provenance["sessions"]
    first, went_on = sessions[0], dict.fromkeys((session["commit"], session["dirty"]) for session in sessions)
    command = first["command"].replace(f"{Path.cwd()}/", "")
    code = {session.get("code") for session in sessions}
    return {
        "seconds": round(sum(session.get("seconds", 0.0) for session in sessions), 1),
        "processes": len(sessions),
        "command": command.replace(folder, "FOLDER") if folder else command,
        "commit": first["commit"],
        "dirty": first["dirty"],
        **({"went_on": [{"commit": commit, "dirty": dirty} for commit, dirty in list(went_on)[1:]]} if len(went_on) > 1 else {}),
        **({"code": first["code"]} if len(code) == 1 and "code" in first else {}),
        "data": provenance.get("data", {}),
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "steps": files.read_json(run / "finished.json")["last_step"],
        "validation": validation_curve(run, metrics),
        "results": {split: {name: scored[split][name] for name in metrics if name in scored[split]} for split in splits if split in scored},
    }


def validation_curve(run: Path, metrics: Sequence[str]) -> list[list[float | None]]:
    """Return [step, metric, ...] for each validation so far, None for a metric that the run does not have."""
    validations = [(line["step"], map(line.get, metrics)) for line in read_metrics(run / "metrics.jsonl") if line["kind"] == "validation"]
    return [[step, *(None if value is None else round(value, 5) for value in values)] for step, values in validations]
