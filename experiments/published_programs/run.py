"""Trains, scores and tabulates two published Keras programs on full MNIST, three seeds each.

    python experiments/published_programs/run.py --table             # prints the table of results.json
    python experiments/published_programs/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist

Finished runs are kept and interrupted ones are resumed. Writes results.json after each run and prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

from imgloc import files

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "runs" / "published_programs"
ELMAN = ("--config.model.cell.name=elman", "--config.model.cell.activation=relu")  # the activation of the recipe's LSTM
ARMS = {  # title -> recipe and flags
    "LSTM(50), relu, as published": ("row_lstm_mnist", ()),
    "LSTM(50), relu, gradients clipped to norm 1": ("row_lstm_mnist", ("--config.optim.clip_norm=1.0",)),
    "Elman(50), relu": ("row_lstm_mnist", ELMAN),
    "Elman(50), relu, gradients clipped to norm 1": ("row_lstm_mnist", (*ELMAN, "--config.optim.clip_norm=1.0")),
    "CNN, 28 px": ("three_layer_cnn_mnist", ()),
}
SEEDS = (0, 1, 2)
Results: TypeAlias = dict[str, dict[str, dict[str, Any]]]  # arm -> seed -> record of a run
BAR = 0.975  # top-1 accuracy that every seed of the published LSTM should reach
FIRST_EPOCH = 1720  # steps
SCORED = {"test@last": "last step", "test": "best of validation"}


def make_run(name: str, recipe: str, arguments: tuple[str, ...], folder: str) -> dict[str, Any]:
    """Trains a run or resumes it; returns what results.json keeps of it, for one with a non-finite loss the error message."""
    run = RUNS / name
    command = [sys.executable, "-m", "imgloc"]
    train = ["train", "--config", f"configs/{recipe}.py", "--workdir", str(run), *arguments, f"--config.data.options.folder={folder}"]
    done = subprocess.run([*command, *train], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    blown_up = "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    if blown_up and not (done.returncode == 1 and " stopped: " in blown_up):  # the training loop's message for a loss that is not finite
        sys.exit(blown_up)
    if not blown_up and not (run / "finished.json").exists():
        sys.exit(f"{run} was stopped; run this again")
    if not blown_up:
        subprocess.run([*command, "evaluate", str(run), "--split", "test"], cwd=ROOT, check=True)
    provenance = files.read_json(run / "provenance.json")
    sessions = provenance["sessions"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scored = files.read_json(run / "results.json") if not blown_up else {}
    return {
        "seconds": round(sum(session.get("seconds", 0.0) for session in sessions), 1),
        "processes": len(sessions),
        "command": sessions[0]["command"].replace(f"{ROOT}/", "").replace(folder, "$IMGLOC_DATA/mnist"),
        "commit": sessions[0]["commit"],
        "dirty": sessions[0]["dirty"],
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "blown_up": blown_up.replace(f"{ROOT}/", ""),
        "largest_gradient": max(line["grad_norm"] for line in lines if "grad_norm" in line),
        "largest_loss": max((line["loss"] for line in lines if "loss" in line and line["step"] > FIRST_EPOCH), default=None),
        "validation": [line["top1"] for line in lines if line["kind"] == "validation"],
        "results": {split: scored[split]["top1"] for split in SCORED if split in scored},
    }


def table(results: Results) -> str:
    """Returns a Markdown table: medians over the seeds, with the lowest and highest in brackets."""
    titles = [f"test `top1`, {title}" for title in SCORED.values()]
    titles += ["not finite", "largest gradient", "largest loss after an epoch", "training"]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    for title in ARMS:
        runs = list(results.get(title, {}).values())
        if not runs:
            continue
        cells = [spread([run["results"][split]["mean"] for run in runs if split in run["results"]], ".4f") for split in SCORED]
        cells += [f"{sum(bool(run['blown_up']) for run in runs)} of {len(runs)}"]
        cells += [spread([run["largest_gradient"] for run in runs], ".3g")]
        cells += [spread([run["largest_loss"] for run in runs if run["largest_loss"] is not None], ".2g")]
        cells += [f"{statistics.median(run['seconds'] for run in runs):.0f} s"]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float], form: str) -> str:
    """Returns the median with the lowest and the highest."""
    if not values:
        return "-"
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def bar(results: Results) -> str:
    """Returns a sentence on whether every seed of the published LSTM reaches the bar."""
    runs = results[next(iter(ARMS))].values()
    reached = [run["results"]["test@last"]["mean"] if "test@last" in run["results"] else float("nan") for run in runs]
    met = "met" if all(value >= BAR for value in reached) and len(reached) == len(SEEDS) else "NOT met"
    shown = ", ".join(f"{value:.2%}" for value in reached)
    return f"The bar, at least {BAR:.1%} on the test digits for each of {len(SEEDS)} seeds: {met}, {shown}."


def main() -> None:
    """Trains missing runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", default=os.path.join(os.environ.get("IMGLOC_DATA", "data"), "mnist"), help="MNIST's four idx files")
    parser.add_argument("--table", action="store_true", help="print the table of the saved results and stop")
    arguments = parser.parse_args()
    path = HERE / "results.json"
    results: Results = files.read_json(path) if arguments.table else {}
    for number, (title, (recipe, flags)) in enumerate(ARMS.items() if not arguments.table else ()):
        for seed in SEEDS:
            name = f"{number}-{recipe}-{seed}"
            results.setdefault(title, {})[str(seed)] = make_run(name, recipe, (*flags, f"--config.seed={seed}"), arguments.folder)
            files.write_json(path, results)
    print(table(results))
    print(f"\n{bar(results)}")


if __name__ == "__main__":
    main()
