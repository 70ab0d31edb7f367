"""imgloc: image localization with JAX.

The functions below do what the commands do; they are imported when they are first used, and import JAX then::

    config = imgloc.load_config("digits_cnn", seed=1)
    imgloc.train(config, "runs/a")
    results = imgloc.evaluate("runs/a")
    imgloc.report("runs/a")
    predictions = imgloc.load("runs/a").predict("photos/")

They return `imgloc.api.evaluating.Results`, `imgloc.inference.load.TrainedModel` and `imgloc.inference.predictions.Predictions`,
which are also `imgloc.Results` and so on. Mistakes of the user raise `imgloc.UserError`.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from imgloc.devices.runtime import prepare as tune_process
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.api.coco_results import evaluate_coco
    from imgloc.api.comparing import ComparisonResults, compare
    from imgloc.api.data import check_data, show_data, summarize_data
    from imgloc.api.evaluating import Results, evaluate
    from imgloc.api.explaining import Explanation, explain, write_explanations
    from imgloc.api.explanation_scores import evaluate_explanations
    from imgloc.api.exporting import ExportResults, export
    from imgloc.api.reporting import report
    from imgloc.api.score_maps import ScoreMapResults, evaluate_wsol
    from imgloc.api.showing import show_features
    from imgloc.api.sweeping import sweep
    from imgloc.api.training import train
    from imgloc.config.resolve import load_config
    from imgloc.inference.load import TrainedModel, load
    from imgloc.inference.predictions import Prediction, Predictions

__all__ = [
    "load_config", "train", "evaluate", "evaluate_coco", "evaluate_wsol", "evaluate_explanations", "report", "compare", "load", "explain",
    "write_explanations", "export", "sweep", "check_data", "summarize_data", "show_data", "show_features", "tune_process",
    "Results", "ScoreMapResults", "ComparisonResults", "TrainedModel", "Prediction", "Predictions", "Explanation", "ExportResults",
    "UserError", "__version__",
]  # fmt: skip
__version__ = importlib.metadata.version("imgloc")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'imgloc' has no attribute '{name}'")
    if name == "evaluate_coco":  # without JAX, which the other functions import
        from imgloc.api.coco_results import evaluate_coco

        return evaluate_coco
    if name in ("evaluate_wsol", "ScoreMapResults"):  # also without JAX
        from imgloc.api import score_maps

        return getattr(score_maps, name)
    from imgloc.api import functions

    return getattr(functions, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
