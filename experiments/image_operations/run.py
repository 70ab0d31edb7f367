"""Compares the speed of image operations with scikit-image, OpenCV and kornia, and prints the table.

    python experiments/image_operations/run.py --python OTHER/bin/python    # OTHER has torch, kornia and scikit-image
    python experiments/image_operations/run.py --table                      # prints the table of results.json

All programs run one after the other, each in a new process, on the same images. Rates are per second of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from imgloc import files
from imgloc.runs.provenance import describe_environment, git_commit

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
OTHERS = ("scikit-image", "OpenCV", "kornia")


def measure(python: str, *arguments: str) -> dict[str, float]:
    """Returns what a program prints."""
    waiting = {"OMP_WAIT_POLICY": "passive"}  # spinning threads are many times slower where anything else runs
    command = [python, *arguments]
    done = subprocess.run(command, cwd=HERE, env={**os.environ, **waiting}, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def table() -> None:
    """Prints imgloc's rates, and how many times as fast it is as each of the others."""
    results = json.loads(RESULTS.read_text())
    rates = results["rates"]
    sizes = sorted({tuple(map(int, key.split("/")[1:])) for key in rates["imgloc"]})
    for side, batch in sizes:
        titles = [f"{side}x{side} pixels, {batch} at once", "images/s", *(f"times {name}" for name in OTHERS)]
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
        for key, rate in rates["imgloc"].items():
            name, *size = key.split("/")
            if size == [str(side), str(batch)]:
                ratios = [f"{rate / rates[other][key]:.3g}" if key in rates[other] else "" for other in OTHERS]
                shown = f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"
                print(f"| {name} | {shown} | {' | '.join(ratios)} |")
        print()
    print(f"Commit {results['commit'][:7]}; {results['machine']}; load {results['load']}; Python {results['python']}.")


def main() -> None:
    """Measures, saves and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="", help="of an environment with torch, kornia and scikit-image")
    parser.add_argument("--table", action="store_true", help="print the saved table")
    options = parser.parse_args()
    if not options.table:
        if not options.python:
            parser.error("--python is required")
        load = round(os.getloadavg()[0], 1)
        rates = {"imgloc": measure(sys.executable, "ours.py")}
        rates |= {name: measure(options.python if name == "kornia" else sys.executable, "theirs.py", name) for name in OTHERS}
        where = describe_environment()
        made = {**git_commit(), "machine": where["machine"], "python": where["python"], "load": load}
        files.write_json(RESULTS, {**made, "rates": rates})
    table()


if __name__ == "__main__":
    main()
