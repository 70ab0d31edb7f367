"""Gathers the runs of other programs and the times of steps in results.json, beside the runs that `imgloc experiment` gathers.

    python experiments/detection/rivals.py --workdir runs/detection [--times times.jsonl]

The other programs write to WORKDIR/NAME-digits or WORKDIR/NAME-bccd; their result files are scored against WORKDIR/data/digits and
WORKDIR/data/bccd, which write_coco.py has written. `--times` has the lines that in_turns.py printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import imgloc
from imgloc import files
from imgloc.evaluation.scoring import as_json

RESULTS = Path(__file__).parent / "results.json"


def gathered(folder: Path, truth: Path) -> dict[str, Any]:
    """Returns the summary of a run of another program, and its scores computed from its result file."""
    summary, scores = files.read_json(folder / "summary.json"), as_json(imgloc.evaluate_coco(folder / "test_results.json", truth))
    kept = {key: summary[key] for key in ("parameters", "steps", "batches", "seconds") if key in summary}
    return {**kept, "scores": {key: scores[key] for key in ("ap", "ap50", "ap75") if key in scores}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", default="runs/detection", type=Path)
    parser.add_argument("--times", type=Path)
    options = parser.parse_args()
    results = files.read_json(RESULTS)
    for data in ("digits", "bccd"):
        truth = options.workdir / "data" / data / "annotations" / "instances_test.json"
        for run in sorted(options.workdir.glob(f"*-{data}")):
            if (run / "test_results.json").exists():
                results.setdefault("rivals", {}).setdefault(data, {})[run.name.removesuffix(f"-{data}")] = gathered(run, truth)
    if options.times:
        results["times"] = [json.loads(line) for line in options.times.read_text().splitlines()]
    files.write_json(RESULTS, results)
