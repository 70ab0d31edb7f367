"""Compares the speed of explanation methods with captum, pytorch-grad-cam and torchcam, and prints the table.

    python experiments/explanations/run.py --python OTHER/bin/python    # a few minutes; OTHER has torch and the three packages
    python experiments/explanations/run.py --table                      # prints the table of results.json

Both sides run in turns, each in a new process, on the same network, weights and images.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from imgloc import files

HERE = Path(__file__).parent


def measure(command: list[str]) -> dict[str, float]:
    """The maps per second that a program prints."""
    waiting = {"OMP_WAIT_POLICY": "passive"}  # spinning threads are many times slower where anything else runs
    done = subprocess.run(command, cwd=HERE, env={**os.environ, **waiting}, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """The medians of the processes, with the lowest and the highest, and their ratio."""
    lines = ["| maps per second of processor time, 16 images of 96x96 | imgloc | theirs | ratio |", "|---|---|---|---|"]
    for name, ours in results["ours"].items():
        theirs = results["theirs"][name]
        ratio = statistics.median(ours) / statistics.median(theirs)
        lines.append(f"| {name} | {_spread(ours)} | {_spread(theirs)} | {ratio:.1f} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.3g} ({min(values):,.3g} to {max(values):,.3g})"


def main() -> None:
    """Measures, saves and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="", help="of an environment with torch, captum, grad-cam and torchcam")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    saved = HERE / "results.json"
    if not options.table:
        sides = {"ours": [sys.executable, "ours.py"], "theirs": [options.python, "theirs.py"]}
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        loads = []
        for number in range(options.processes):
            for side, command in sides.items():
                loads.append(os.getloadavg()[0])
                runs[side].append(measure(command))
                print(f"process {number + 1} of {options.processes}: {side}", file=sys.stderr, flush=True)
        results = {side: {name: [each[name] for each in found] for name in found[0]} for side, found in runs.items()}
        files.write_json(saved, {**results, "load": loads, "cores": len(os.sched_getaffinity(0))})
    print(table(files.read_json(saved)))


if __name__ == "__main__":
    main()
