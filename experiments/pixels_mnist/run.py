"""Cells that read MNIST's 784 pixels one by one, for the same time each (the sweep of configs/pixels_mnist.py).

    python experiments/pixels_mnist/run.py --table             # prints the table of the saved results.json
    python experiments/pixels_mnist/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/pixels_mnist/run.py --measure           # the time of a step of each cell anew
    python experiments/pixels_mnist/run.py --picture           # draws curves.png from the saved results

Finished runs are not made again, interrupted ones go on. `taskset -c 0` and `-c 1` before two of these commands share the sweep between
two cores, a run a core, which is how the steps that fill the time were measured.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from gathering import command_line, grouped, made_by, over_seeds

PUBLISHED = {  # Le, Jaitly and Hinton, 2015, arXiv:1504.00941: 100 units, their best of a search, up to a million steps
    "pixels: irnn": "97", "permuted_pixels: irnn": "82",
}  # fmt: skip


def name(overrides: Mapping[str, Any]) -> str:
    """An arm: the order of the pixels and the cell."""
    cell = overrides["model.cell"]
    return f"{overrides['model.read']}: {cell if 'form' in cell else cell.split('(')[0]}"


def table(found: dict[str, Any]) -> str:
    """A Markdown table: mean over the seeds and its 95 % t interval, in per cent of the 10,000 test digits."""
    times = found.get("steps", {}).get("arms", {})
    heads = ["pixels, cell", "test top1, last step", "lowest, highest", "published", "parameters", "steps", "ms a step, one core", "time"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for title, runs in grouped(found.get("runs", []), name).items():
        values = [run["results"]["test@last"]["top1"]["mean"] for run in runs]
        known = times.get(title, {"parameters": 0, "ms": float("nan")})
        steps = runs[0]["steps"]
        spread = f"{100 * min(values):.1f}, {100 * max(values):.1f}"
        counts = f"{known['parameters']:,}", f"{steps:,}"
        spent = f"{known['ms']:.0f}", f"{steps * known['ms'] / 1000:.0f} s"
        cells = [title, over_seeds(values, 1), spread, PUBLISHED.get(title, ""), *counts, *spent]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", made_by(found["runs"])]) if found.get("runs") else "\n".join(lines)


def curves(found: dict[str, Any], target: Path) -> None:
    """Validation accuracy over time, mean of the seeds and their range, the orders side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    times = found["steps"]["arms"]
    axes = dict(zip(("pixels", "permuted_pixels"), figure.subplots(1, 2, sharey=True), strict=True))
    for title, runs in grouped(found["runs"], name).items():
        order, cell = title.split(": ")
        points = list(zip(*(run["validation"] for run in runs), strict=True))
        seconds = [point[0][0] * times[title]["ms"] / 1000 for point in points]
        values = [[100 * value for _, value in point] for point in points]
        (line,) = axes[order].plot(seconds, [sum(v) / len(v) for v in values], label=cell)
        lowest, highest = ([edge(v) for v in values] for edge in (min, max))
        axes[order].fill_between(seconds, lowest, highest, color=line.get_color(), alpha=0.2, linewidth=0)
    for order, axis in axes.items():
        axis.set(title=order.replace("_", " "), xlabel="seconds of one core", ylim=(0, 100))
        axis.grid(alpha=0.3)
    axes["pixels"].set_ylabel("validation digits named, %")
    axes["pixels"].legend(loc="lower right")
    figure.savefig(target)


if __name__ == "__main__":
    if "--picture" in sys.argv:
        from imgloc import files

        curves(files.read_json(Path(__file__).parent / "results.json"), Path(__file__).parent / "curves.png")
    else:
        command_line(__doc__, "pixels_mnist", table, name)
