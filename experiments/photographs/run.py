"""Trains, scores and tabulates a CNN from scratch on photographs: Tiny ImageNet, and 200 pictures of raccoons with three seeds.

    python experiments/photographs/run.py --table                # prints the table of results.json
    python experiments/photographs/run.py --tiny DIR --raccoon FOLDER    # DIR: where `imgloc data prepare tiny_imagenet` wrote

Finished runs are kept and interrupted ones are resumed. Writes results.json after each run and prints the table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

from imgloc import files

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "runs" / "photographs"
ARMS = {"tiny_imagenet": (0,), "raccoon": (0, 1, 2)}  # recipe -> seeds
FLAGS = {"tiny_imagenet": (), "raccoon": ("--config.data.options.format=csv",)}  # its files name the test split
TITLES = {"tiny_imagenet": "Tiny ImageNet val, 64 px", "raccoon": "raccoons, 96 px"}
METRICS = {
    "gt_known_loc_30": "IoU .3", "gt_known_loc_50": "IoU .5", "gt_known_loc_70": "IoU .7",
    "mean_iou": "mean IoU", "top1_loc_50": "class and box",
}  # fmt: skip
Results: TypeAlias = dict[str, dict[str, dict[str, Any]]]  # recipe -> seed -> record of a run
BASELINES = {"median_box": "median box of training", "whole_image": "whole-image box"}


def make_run(recipe: str, seed: int, folder: str) -> dict[str, Any]:
    """Trains a run or resumes it; returns what results.json keeps of it."""
    run = RUNS / f"{recipe}-{seed}"
    command = [sys.executable, "-m", "imgloc", "train", "--config", f"configs/{recipe}.py", "--workdir", str(run)]
    flags = [f"--config.data.options.folder={folder}", f"--config.seed={seed}", *FLAGS[recipe]]
    subprocess.run([*command, *flags], cwd=ROOT, check=True)
    if not (run / "finished.json").exists():
        sys.exit(f"{run} was stopped; run this again")
    provenance = files.read_json(run / "provenance.json")
    scored = files.read_json(run / "results.json")
    split = next(name for name in scored if "/" not in name)
    return {
        "seconds": round(sum(session["seconds"] for session in provenance["sessions"])),
        "processes": len(provenance["sessions"]),
        "commit": provenance["sessions"][0]["commit"],
        "dirty": provenance["sessions"][0]["dirty"],
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "split": split,
        "steps": files.read_json(run / "finished.json")["last_step"],
        "results": {
            name: {metric: scored[f"{split}/{name}" if name else split][metric] for metric in METRICS} for name in ("", *BASELINES)
        },
    }


def table(results: Results) -> str:
    """Returns a Markdown table: per cent of images [95 % bootstrap interval over images], a row for each run and baseline."""
    lines = ["| | " + " | ".join([*METRICS.values(), "training"]) + " |", "|---|" + "---|" * (len(METRICS) + 1)]
    for recipe in ARMS:
        runs = results.get(recipe, {})
        for seed, run in runs.items():
            lines.append(_line(f"{TITLES[recipe]}: CNN, seed {seed}", run["results"][""], f"{run['seconds'] / 60:.0f} min"))
        if runs:
            first = next(iter(runs.values()))["results"]
            lines += [_line(f"{TITLES[recipe]}: {title}", first[name], "") for name, title in BASELINES.items()]
    return "\n".join(lines)


def _line(title: str, metrics: dict[str, dict[str, float]], training: str) -> str:
    cells = []
    for metric in METRICS:
        value = metrics[metric]
        factor, digits = (1, 3) if metric == "mean_iou" else (100, 1)
        mean, low, high = (f"{value[key] * factor:.{digits}f}" for key in ("mean", "low", "high"))
        cells.append(f"{mean} [{low}, {high}]")
    return f"| {title} | {' | '.join([*cells, training])} |"


def main() -> None:
    """Trains on the data sets whose folders are named and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the table of results.json and stop")
    parser.add_argument("--tiny", default="", metavar="DIR", help="the folder of the prepared tiny_imagenet")
    parser.add_argument("--raccoon", default="", metavar="FOLDER", help="a checkout of github.com/datitran/raccoon_dataset")
    parsed = parser.parse_args()
    path = HERE / "results.json"
    results = files.read_json(path) if path.exists() else {}
    folders = {"tiny_imagenet": parsed.tiny, "raccoon": parsed.raccoon}
    for recipe, seeds in ARMS.items():
        for seed in seeds if folders[recipe] and not parsed.table else ():
            results.setdefault(recipe, {})[str(seed)] = make_run(recipe, seed, str(Path(folders[recipe]).resolve()))
            files.write_json(path, results)
    print(table(results))


if __name__ == "__main__":
    main()
