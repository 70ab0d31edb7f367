"""Recurrent cells that read MNIST's 784 pixels one by one, in equal training time (the sweep of configs/pixels_mnist.py).

    python experiments/pixels_mnist/run.py --table             # prints the table of results.json
    python experiments/pixels_mnist/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/pixels_mnist/run.py --measure           # times a step of each cell
    python experiments/pixels_mnist/run.py --picture           # draws curves.png from results.json

Finished runs are kept and interrupted ones are resumed. Two of these commands under `taskset -c 0` and `-c 1` share the sweep, one run
per core; the numbers of steps were measured that way.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from gathering import Json, cell_title, command_line, grouped, made_by, over_seeds

PUBLISHED = {  # Le, Jaitly and Hinton, 2015, arXiv:1504.00941: 100 units, their best of a search, up to a million steps
    "pixels: irnn": "97", "permuted_pixels: irnn": "82",
}  # fmt: skip


def arm_name(overrides: Mapping[str, Any]) -> str:
    """Returns the order of the pixels and the cell, with its form where that is set."""
    cell = cell_title(overrides)
    return f"{overrides['model.scan_order']}: {cell if 'form' in cell else cell.split('(')[0]}"


def table(results: Json) -> str:
    """Returns a Markdown table: means over the seeds with 95 % t intervals, in per cent of the 10,000 test digits."""
    times = results.get("steps", {}).get("arms", {})
    heads = ["pixels, cell", "test top1, last step", "lowest, highest", "published", "parameters", "steps", "ms per step, one core", "time"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for title, runs in grouped(results.get("runs", []), arm_name).items():
        values = [run["results"]["test@last"]["top1"]["mean"] for run in runs]
        timing = times.get(title, {"parameters": 0, "ms": float("nan")})
        steps = runs[0]["steps"]
        spread = f"{100 * min(values):.1f}, {100 * max(values):.1f}"
        counts = f"{timing['parameters']:,}", f"{steps:,}"
        durations = f"{timing['ms']:.0f}", f"{steps * timing['ms'] / 1000:.0f} s"
        cells = [title, over_seeds(values, 1), spread, PUBLISHED.get(title, ""), *counts, *durations]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", made_by(results["runs"])]) if results.get("runs") else "\n".join(lines)


def curves(results: Json, target: Path) -> None:
    """Draws validation accuracy over time for both orders: mean and range over the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 3.6), dpi=110, layout="constrained")
    times = results["steps"]["arms"]
    axes = dict(zip(("pixels", "permuted_pixels"), figure.subplots(1, 2, sharey=True), strict=True))
    for title, runs in grouped(results["runs"], arm_name).items():
        order, cell = title.split(": ")
        points = list(zip(*(run["validation"] for run in runs), strict=True))
        seconds = [point[0][0] * times[title]["ms"] / 1000 for point in points]
        values = [[100 * value for _, value in point] for point in points]
        (line,) = axes[order].plot(seconds, [sum(v) / len(v) for v in values], label=cell)
        lowest, highest = ([extreme(v) for v in values] for extreme in (min, max))
        axes[order].fill_between(seconds, lowest, highest, color=line.get_color(), alpha=0.2, linewidth=0)
    for order, axis in axes.items():
        axis.set(title=order.replace("_", " "), xlabel="seconds of one core", ylim=(0, 100))
        axis.grid(alpha=0.3)
    axes["pixels"].set_ylabel("validation accuracy, %")
    figure.legend(*axes["pixels"].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(target)


if __name__ == "__main__":
    if "--picture" in sys.argv:
        from imgloc import files

        curves(files.read_json(Path(__file__).parent / "results.json"), Path(__file__).parent / "curves.png")
    else:
        command_line(__doc__, "pixels_mnist", table, arm_name)
