"""MLflow (https://mlflow.org). Its environment variables choose the store (MLFLOW_TRACKING_URI) and MLFLOW_EXPERIMENT_NAME."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from imgloc.training.run_loggers import LoggedRun, Logger, Record, values

PACKAGE = "mlflow"
TAG = "imgloc.run"  # has the identity of a run
MAX_PARAMS = 100  # of one request
MAX_LENGTH = 500  # characters of a parameter, which every store accepts


def open_logger(run: LoggedRun) -> Logger:
    """Open the MLflow run of a run folder in the experiment that MLFLOW_EXPERIMENT_NAME names, else `imgloc`."""
    from mlflow import MlflowClient
    from mlflow.entities import Param

    client = MlflowClient()
    experiment = _experiment(client, os.environ.get("MLFLOW_EXPERIMENT_NAME", "imgloc"))
    found = client.search_runs([experiment], filter_string=f"tags.`{TAG}` = '{run.identity}'")
    if found:
        client.update_run(found[0].info.run_id, status="RUNNING")
        return _Session(client, found[0])
    created = client.create_run(experiment, tags={TAG: run.identity}, run_name=run.name)
    params = [Param(key, str(value)[:MAX_LENGTH]) for key, value in run.config.items()]
    for start in range(0, len(params), MAX_PARAMS):
        client.log_batch(created.info.run_id, params=params[start : start + MAX_PARAMS])
    return _Session(client, created)


def _experiment(client: Any, name: str) -> str:
    """Return the identifier of an experiment, which another process may create at the same time."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id)


class _Session:
    def __init__(self, client: Any, run: Any) -> None:
        self._client, self._run = client, run.info.run_id
        histories = {key: client.get_metric_history(self._run, key) for key in run.data.metrics}
        self._logged = {(key, metric.step) for key, history in histories.items() for metric in history}

    def add(self, record: Record) -> None:
        from mlflow.entities import Metric

        now, step = int(1000 * time.time()), record["step"]
        metrics = [Metric(_key(name), value, now, step) for name, value in values(record).items() if (_key(name), step) not in self._logged]
        if metrics:
            self._client.log_batch(self._run, metrics=metrics)

    def flush(self) -> None:
        """Nothing to do: `log_batch` waits for the store."""

    def close(self) -> None:
        self._client.set_terminated(self._run)


def _key(name: str) -> str:
    """Return the name of a metric with one slash: the file store makes folders of the others, and `loss` would be a file and a folder."""
    kind, _, metric = name.partition("/")
    return f"{kind}/{re.sub(r'[^A-Za-z0-9_. -]', '.', metric)}"
