"""The names of the package `imgloc`, which imports this module when one of them is first used."""

from __future__ import annotations

from imgloc.api.data import check_data, show_data, summarize_data
from imgloc.api.evaluating import Results, evaluate
from imgloc.api.reporting import report
from imgloc.api.sweeping import sweep
from imgloc.api.training import train
from imgloc.config.resolve import load_config
from imgloc.inference.load import TrainedModel, load
from imgloc.inference.predictions import Prediction, Predictions

__all__ = [
    "Prediction", "Predictions", "Results", "TrainedModel", "check_data", "evaluate", "load", "load_config", "report", "show_data",
    "summarize_data", "sweep", "train",
]  # fmt: skip
