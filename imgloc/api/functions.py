"""The names of the package `imgloc`, which imports this module when one of them is first used."""

from __future__ import annotations

from imgloc.api.comparing import ComparisonResults, compare
from imgloc.api.data import check_data, show_data, summarize_data
from imgloc.api.evaluating import Results, evaluate
from imgloc.api.explaining import Explanation, explain, write_explanations
from imgloc.api.explanation_scores import evaluate_explanations
from imgloc.api.exporting import ExportResults, export
from imgloc.api.reporting import report
from imgloc.api.showing import show_features
from imgloc.api.sweeping import sweep
from imgloc.api.training import train
from imgloc.config.resolve import load_config
from imgloc.inference.load import TrainedModel, load
from imgloc.inference.predictions import Prediction, Predictions

__all__ = [
    "ComparisonResults", "Explanation", "ExportResults", "Prediction", "Predictions", "Results", "TrainedModel", "check_data", "compare",
    "evaluate", "evaluate_explanations", "explain", "export", "load", "load_config", "report", "show_data", "show_features",
    "summarize_data", "sweep", "train", "write_explanations",
]  # fmt: skip
