"""Runs commands in turns, A B C A B C, each in a new process, and prints the medians of the numbers that they print as JSON.

    python experiments/detection/in_turns.py --processes 3 "PYTHON step_time_torch.py --convs 2" "PYTHON step_time_torch.py --head ssdlite"

A command prints one JSON object in its last line. All have the allocator settings of experiments/speed (--setting box: the
system's), and threads of OpenMP sleep while they wait, as spinning threads are many times slower where anything else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from typing import Any

from benchmarks.measure import over_processes
from benchmarks.settings import environment


def run(command: str, setting: str) -> dict[str, Any]:
    """Returns the JSON object that a command prints last. Ends the program if the command fails."""
    variables = {"OMP_WAIT_POLICY": "passive", **environment(setting, os.environ)}
    done = subprocess.run(shlex.split(command), env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"in_turns.py: exit code {done.returncode} of: {command}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """Prints one JSON object for each command: its numbers, and median, lowest and highest of those that end in _ms or per_second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="+", metavar="COMMAND")
    parser.add_argument("--processes", type=int, default=3, help="of each command (default: 3)")
    parser.add_argument("--setting", choices=("tuned", "box"), default="tuned")
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {command: [] for command in options.commands}
    for number in range(1, options.processes + 1):
        for command, before in results.items():
            print(f"process {number} of {options.processes}: {command}", file=sys.stderr, flush=True)
            before.append(run(command, options.setting))
    for command, rows in results.items():
        merged = dict(rows[0])
        for name in (name for name in merged if name.endswith(("_ms", "per_second"))):
            spread = over_processes([row[name] for row in rows])
            merged[name] = [spread["median_ms"], spread["low_ms"], spread["high_ms"]]
        print(json.dumps({"command": command, "setting": options.setting, "processes": len(rows), **merged}))


if __name__ == "__main__":
    main()
