"""Recurrent cells on the rows of MNIST's digits: one recipe, one budget, three seeds (the sweep of configs/rows_mnist.py).

    python experiments/rows_mnist/run.py --table             # prints the table of results.json
    python experiments/rows_mnist/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/rows_mnist/run.py --measure           # times a step of each cell

Finished runs are kept and interrupted ones are resumed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from gathering import Json, cell_title, command_line, grouped, made_by, over_seeds

PUBLISHED = {"lstm, 256": "98.9", "elman, 256": "98.0"}  # R. Atienza, github.com/roatienza/Deep-Learning-Experiments: Adam, 20 epochs


def arm_name(overrides: Mapping[str, Any]) -> str:
    """Returns the cell and the number of units."""
    return f"{cell_title(overrides)}, {overrides['model.features']}"


def table(results: Json) -> str:
    """Returns a Markdown table: means over the seeds with 95 % t intervals, in per cent of the 10,000 test digits."""
    times = results.get("steps", {}).get("arms", {})
    lines = ["| cell, units | test top1, last step | lowest, highest | published | parameters | ms per step |", "|---|---|---|---|---|---|"]
    for title, runs in grouped(results.get("runs", []), arm_name).items():
        values = [run["results"]["test@last"]["top1"]["mean"] for run in runs]
        timing = times.get(title, {"parameters": 0, "ms": float("nan")})
        spread = f"{100 * min(values):.2f}, {100 * max(values):.2f}"
        cells = [title, over_seeds(values), spread, PUBLISHED.get(title, ""), f"{timing['parameters']:,}", f"{timing['ms']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", made_by(results["runs"])]) if results.get("runs") else "\n".join(lines)


if __name__ == "__main__":
    command_line(__doc__, "rows_mnist", table, arm_name)
