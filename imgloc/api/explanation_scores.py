"""The quality of explanations in Python, as `imgloc explain RUN --evaluate` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc import files
from imgloc.errors import as_names
from imgloc.evaluation.explanation_metrics import METRICS
from imgloc.evaluation.explanations import score_explanations
from imgloc.evaluation.scoring import as_json
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import named_target
from imgloc.inference.load import open_model
from imgloc.runs.run_dir import open_run

if TYPE_CHECKING:
    import pandas as pd


def evaluate_explanations(
    run: str | Path,
    methods: Sequence[str],
    split: str = "validation",
    *,
    target: str = "",
    layer: str = "",
    count: int = 200,
    checkpoint: str = "best",
    seed: int = 0,
) -> pd.DataFrame:
    """Score explanation methods of a run on a split, beside controls: one row for each method and metric.

    The columns are method, metric, mean, low, high (the 95 % interval) and n. The controls are `center` (a Gaussian), `edges` (Sobel's)
    and `noise`. The report of the run shows them too. `count` is the number of examples, up to a full batch. Raises UserError as `explain`
    and `evaluate` do.
    """
    import pandas as pd

    scores = scores_of_run(run, as_names(methods), split, target=target, layer=layer, count=count, checkpoint=checkpoint, seed=seed)
    rows = [
        {"method": method, "metric": metric.key, "mean": each.mean, "low": each.low, "high": each.high, "n": each.n}
        for method, found in scores.items()
        for metric in METRICS
        if (each := found.get(metric.key)) is not None
    ]
    return pd.DataFrame(rows, columns=["method", "metric", "mean", "low", "high", "n"])


def scores_of_run(
    run: str | Path, methods: Sequence[str], split: str, *, target: str, layer: str, count: int, checkpoint: str, seed: int
) -> Mapping[str, Mapping[str, Interval]]:
    """The interval of each metric of each method and control; see `evaluate_explanations`. They are kept in the run for its report."""
    folder, config = open_run(str(run))
    source = named_target(folder, config, split, checkpoint=checkpoint).source
    trained = open_model(run, checkpoint=checkpoint)
    samples = config.eval.bootstrap_samples
    scores = score_explanations(trained, source, methods, target=target, layer=layer, count=count, samples=samples, seed=seed)
    origin = {"step": trained.bundle.step, "target": target, "layer": layer}
    with files.locked(folder.results_lock):  # another process may score another split
        known = folder.read(folder.explanations) if folder.explanations.is_file() else {}
        found = {**origin, "methods": {name: as_json(each) for name, each in scores.items()}}
        files.write_json(folder.explanations, {**known, split: found})
    return scores


def table(scores: Mapping[str, Mapping[str, Interval]]) -> str:
    """The scores as a Markdown table with one row for each method."""
    present = [metric for metric in METRICS if any(metric.key in found for found in scores.values())]
    lines = [f"| method | {' | '.join(metric.key for metric in present)} |", "|---" * (1 + len(present)) + "|"]
    for method, found in scores.items():
        cells = [f"{e.mean:.3f} [{e.low:.3f}, {e.high:.3f}]" if (e := found.get(metric.key)) else "" for metric in present]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"{metric.key}: {metric.meaning}" for metric in present)])
