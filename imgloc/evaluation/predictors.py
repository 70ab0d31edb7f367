"""The predictors whose rows a run has: its model, and the baselines of its task."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from imgloc.config.registry import declared, names
from imgloc.interfaces import Baseline
from imgloc.types import Predict, Truth

MODEL = "model"


def baselines(task: str) -> dict[str, Baseline]:
    """The baselines of a task by name."""
    every = {name: declared("evaluation.baselines", name, Baseline) for name in names("evaluation.baselines")}
    return {name: baseline for name, baseline in every.items() if task in baseline.tasks}


def predictor_names(task: str) -> tuple[str, ...]:
    """The names of all predictors of a task, the model first."""
    return (MODEL, *baselines(task))


def fit_baselines(task: str, truths: Sequence[Truth], num_classes: int) -> dict[str, Any]:
    """What each baseline of a task learns from the truths of a training split, as JSON values."""
    return {name: baseline.fit(truths, num_classes) for name, baseline in baselines(task).items()}


def baseline_predictors(task: str, fitted: Mapping[str, Any]) -> dict[str, Predict]:
    """A predictor for each baseline of a task, from what `fit_baselines` returned."""
    return {name: functools.partial(baseline.predict, fitted[name]) for name, baseline in baselines(task).items()}
