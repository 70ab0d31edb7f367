"""A cell zoo on the rows of MNIST's digits: one recipe, one budget, three seeds (the sweep of configs/rows_mnist.py).

    python experiments/rows_mnist/run.py --table             # prints the table of the saved results.json
    python experiments/rows_mnist/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/rows_mnist/run.py --measure           # the time of a step of each cell anew

Finished runs are not made again, interrupted ones go on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from gathering import command_line, grouped, made_by, over_seeds

PUBLISHED = {"lstm, 256": "98.9", "elman, 256": "98.0"}  # R. Atienza, github.com/roatienza/Deep-Learning-Experiments: Adam, 20 epochs


def name(overrides: Mapping[str, Any]) -> str:
    """An arm: its cell and units."""
    return f"{overrides['model.cell']}, {overrides['model.features']}"


def table(found: dict[str, Any]) -> str:
    """A Markdown table: mean over the seeds and its 95 % t interval, in per cent of the 10,000 test digits."""
    times = found.get("steps", {}).get("arms", {})
    lines = ["| cell, units | test top1, last step | lowest, highest | published | parameters | ms a step |", "|---|---|---|---|---|---|"]
    for title, runs in grouped(found.get("runs", []), name).items():
        values = [run["results"]["test@last"]["top1"]["mean"] for run in runs]
        known = times.get(title, {"parameters": 0, "ms": float("nan")})
        spread = f"{100 * min(values):.2f}, {100 * max(values):.2f}"
        cells = [title, over_seeds(values), spread, PUBLISHED.get(title, ""), f"{known['parameters']:,}", f"{known['ms']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", made_by(found["runs"])]) if found.get("runs") else "\n".join(lines)


if __name__ == "__main__":
    command_line(__doc__, "rows_mnist", table, name)
