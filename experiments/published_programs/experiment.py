"""Two published Keras programs on full MNIST, three seeds each."""

from __future__ import annotations

import json
from pathlib import Path

from imgloc.experiments.columns import median_range, metric, spread, training_time
from imgloc.experiments.declared import Arm, Column, Experiment, Json, Runs, Table

ELMAN = {"model.cell.name": "elman", "model.cell.activation": "relu"}  # the activation of the recipe's LSTM
CLIPPED = {"optim.clip_norm": 1.0}
SEEDS = (0, 1, 2)
PUBLISHED = "LSTM(50), relu, as published"
BAR = 0.975  # top-1 accuracy that every seed of the published LSTM should reach
FIRST_EPOCH = 1720  # steps


def keep(run: Path) -> Json:
    """Returns the largest norm of a gradient, and the largest loss after an epoch."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "largest_gradient": max(line["grad_norm"] for line in lines if "grad_norm" in line),
        "largest_loss": max((line["loss"] for line in lines if "loss" in line and line["step"] > FIRST_EPOCH), default=None),
    }


def largest(title: str, key: str, form: str) -> Column:
    """Returns a column with the spread of a value that `keep` keeps."""
    return Column(title, lambda _results, _name, runs: spread([run[key] for run in runs if run[key] is not None], form))


def not_finite(_: Json, __: str, runs: Runs) -> str:
    """Returns the number of runs that ended because the loss was not finite."""
    return f"{sum(' stopped: ' in run.get('failed', '') for run in runs)} of {len(runs)}"


def bar(results: Json) -> str:
    """Returns a sentence on whether every seed of the published LSTM reaches the bar."""
    runs = results.get("runs", {}).get(PUBLISHED, [])
    reached = [run["results"]["test@last"]["top1"]["mean"] if "results" in run else float("nan") for run in runs]
    met = "met" if all(value >= BAR for value in reached) and len(reached) == len(SEEDS) else "NOT met"
    shown = ", ".join(f"{value:.2%}" for value in reached)
    return f"The bar, at least {BAR:.1%} on the test digits for each of {len(SEEDS)} seeds: {met}, {shown}."


COLUMNS = (
    metric("top1", "test `top1`, last step", median_range(".4f"), split="test@last"),
    metric("top1", "test `top1`, best of validation", median_range(".4f")),
    Column("not finite", not_finite), largest("largest gradient", "largest_gradient", ".3g"),
    largest("largest loss after an epoch", "largest_loss", ".2g"), training_time("training"),
)  # fmt: skip
EXPERIMENT = Experiment(
    arms={
        PUBLISHED: Arm("row_lstm_mnist", data="mnist"),
        "LSTM(50), relu, gradients clipped to norm 1": Arm("row_lstm_mnist", CLIPPED, data="mnist"),
        "Elman(50), relu": Arm("row_lstm_mnist", ELMAN, data="mnist"),
        "Elman(50), relu, gradients clipped to norm 1": Arm("row_lstm_mnist", {**ELMAN, **CLIPPED}, data="mnist"),
        "CNN, 28 px": Arm("three_layer_cnn_mnist", data="mnist"),
    },
    tables=(Table("", COLUMNS), bar), seeds=SEEDS, extra_values=keep,
)  # fmt: skip
