"""The task that a config names."""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.interfaces import MetricFamily, Task


def make_task(config: ConfigDict) -> Task:
    """The task that a config names, with the metrics of `eval.metrics`."""
    task = declared("tasks", config.task, Task)
    for module in config.eval.metrics:
        if "." not in module:
            raise UserError(f"eval.metrics has '{module}'; expected dotted modules of your own: all metrics of imgloc are computed anyway")
        declared("evaluation.metrics", module, MetricFamily)  # raises UserError for a module without METRICS
    return dataclasses.replace(task, metrics=(*task.metrics, *config.eval.metrics))
