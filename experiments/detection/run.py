"""Trains, scores and tabulates the detector on digits and on BCCD; collects the runs of other programs and the times of steps.

    python experiments/detection/run.py --table                       # prints the tables of results.json
    python experiments/detection/run.py --folder BCCD                 # about 10 minutes a seed of digits, 30 of BCCD, on 2 cores
    python experiments/detection/run.py --gather                      # collects the finished runs of --workdir
    python experiments/detection/run.py --gather --times times.jsonl  # and the lines that in_turns.py printed

Finished runs are kept and interrupted ones are resumed. The other programs write to WORKDIR/NAME-digits or WORKDIR/NAME-bccd; their
result files are scored against WORKDIR/data/digits and WORKDIR/data/bccd, which write_coco.py has written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import imgloc
from imgloc import files
from imgloc.evaluation.scoring import as_json
from imgloc.evaluation.statistics import t_interval

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
Json: TypeAlias = dict[str, Any]
RECIPES = {"digits": "digits_detector", "bccd": "bccd"}
TITLES = {"digits": "digits, 0 to 5 on 128x128 pixels", "bccd": "BCCD, its own test split"}
SEEDS = (0, 1, 2)
METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
COUNTS = ("1", "2", "3", "4", "5")  # objects of an image


def make_run(data: str, seed: int, workdir: Path, folder: str) -> None:
    """Trains and scores a run."""
    run, command = str(workdir / f"imgloc-{data}-{seed}"), [sys.executable, "-m", "imgloc"]
    flags = [f"--config.data.options.folder={folder}", "--config.data.options.format=voc"] if data == "bccd" else []
    subprocess.run(
        [*command, "train", "--config", RECIPES[data], "--workdir", run, f"--config.seed={seed}", *flags], cwd=ROOT, check=True
    )
    subprocess.run([*command, "evaluate", run], cwd=ROOT, check=True)


def gathered(folder: Path) -> Json:
    """Returns the commit, the seconds and the scores of a run of imgloc."""
    provenance, scores = files.read_json(folder / "provenance.json"), files.read_json(folder / "results.json")["test"]
    sessions = provenance["sessions"]
    kept = [*METRICS, *(f"{key}/objects/{count}" for key in ("ap", "ap50") for count in COUNTS)]
    return {
        "commit": sessions[-1]["commit"],
        "dirty": any(session["dirty"] for session in sessions),
        "machine": provenance["machine"],
        "seconds": sum(session["seconds"] for session in sessions),
        "scores": {key: scores[key] for key in kept if key in scores},
    }


def gathered_rival(folder: Path, truth: Path) -> Json:
    """Returns the summary of a run of another program, and its scores computed from its result file."""
    summary = files.read_json(folder / "summary.json")
    scores = as_json(imgloc.evaluate_coco(folder / "test_results.json", truth))
    return {
        **{key: summary[key] for key in ("parameters", "steps", "batches", "seconds") if key in summary},
        "scores": {key: scores[key] for key in METRICS if key in scores},
    }


def gather(workdir: Path, times: str) -> Json:
    """Returns everything that the folder of runs has, and the times of steps."""
    results: Json = {"runs": {}, "rivals": {}}
    for data in RECIPES:
        for seed in SEEDS:
            run = workdir / f"imgloc-{data}-{seed}"
            if (run / "results.json").exists():
                results["runs"].setdefault(data, {})[str(seed)] = gathered(run)
        truth = workdir / "data" / data / "annotations" / "instances_test.json"
        for run in sorted(workdir.glob(f"*-{data}")):
            if (run / "test_results.json").exists():
                results["rivals"].setdefault(data, {})[run.name.removesuffix(f"-{data}")] = gathered_rival(run, truth)
    if times:
        results["times"] = [json.loads(line) for line in Path(times).read_text().splitlines()]
    return results


def tables(results: Json) -> str:
    """Returns Markdown tables, in per cent: means with the 95 % interval over seeds, or over images where there is one run."""
    parts = [table(data, results) for data in RECIPES if data in results["runs"]]
    if "digits" in results["runs"]:
        parts.append(by_count(list(results["runs"]["digits"].values())))
    if "times" in results:
        parts.append(times_table(results["times"]))
    return "\n\n".join(parts)


def table(data: str, results: Json) -> str:
    """Returns the scores on one data set."""
    runs = list(results["runs"][data].values())
    lines = [f"| {TITLES[data]} | " + " | ".join(METRICS.values()) + " | training |", "|---|" + "---|" * (len(METRICS) + 1)]
    cells = [cell([run["scores"][key] for run in runs]) for key in METRICS]
    lines.append(f"| imgloc, {seeds(runs)} | " + " | ".join(cells) + f" | {minutes([run['seconds'] for run in runs])} |")
    for name, run in results["rivals"].get(data, {}).items():
        cells = [cell([run["scores"][key]]) for key in METRICS]
        lines.append(f"| {name}, 1 seed | " + " | ".join(cells) + f" | {minutes([run['seconds']])} |")
    return "\n".join(lines)


def by_count(runs: list[Json]) -> str:
    """Returns the scores of the detector by the number of digits on a canvas."""
    lines = [f"| digits on a canvas, {seeds(runs)} | " + " | ".join(COUNTS) + " |", "|---|" + "---|" * len(COUNTS)]
    for key in ("ap", "ap50"):
        cells = [cell([run["scores"][f"{key}/objects/{count}"] for run in runs]) for count in COUNTS]
        lines.append(f"| {METRICS[key]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def times_table(rows: list[Json]) -> str:
    """Returns the times of steps: medians over processes, with the lowest and the highest."""
    lines = ["| milliseconds | parameters | network | with detections | training step |", "|---|---|---|---|---|"]
    for row in rows:
        program = "torchvision" if "head" in row else "imgloc"
        title = f"{program}, {row.get('pyramid', row.get('channels'))} channels, {row['convs']} convolutions"
        cells = [f"{row[name][0]:.0f} ({row[name][1]:.0f} to {row[name][2]:.0f})" for name in ("network_ms", "detect_ms", "train_ms")]
        lines.append(f"| {title} | {row['parameters'] / 1e6:.1f} M | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(scores: list[Json]) -> str:
    """Returns a mean in per cent with its interval: over seeds if there are several, else over images."""
    if len(scores) > 1:
        interval = t_interval([score["mean"] for score in scores])
        mean, low, high = interval.mean, interval.low, interval.high
    else:
        mean, low, high = (scores[0][name] for name in ("mean", "low", "high"))
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def seeds(runs: list[Json]) -> str:
    """Returns the number of runs in words."""
    return f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"


def minutes(seconds: list[float]) -> str:
    """Returns the longest of some times."""
    return f"{max(seconds) / 60:.0f} min"


def main() -> None:
    """Trains missing runs unless --gather or --table, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the tables of the saved results and stop")
    parser.add_argument("--gather", action="store_true", help="collect the finished runs without training")
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES), help="data sets to train on (default: both)")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, choices=SEEDS)
    parser.add_argument("--folder", default="BCCD", help="the folder of BCCD")
    parser.add_argument("--workdir", default=str(ROOT / "runs" / "detection"))
    parser.add_argument("--times", default="", metavar="FILE", help="lines that in_turns.py printed")
    arguments = parser.parse_args()
    path, workdir = HERE / "results.json", Path(arguments.workdir)
    if not (arguments.table or arguments.gather):
        for data in arguments.only:
            for seed in arguments.seeds:
                make_run(data, seed, workdir, arguments.folder)
    results = files.read_json(path) if path.exists() else {}
    if not arguments.table:
        results = {**results, **gather(workdir, arguments.times)}
        files.write_json(path, results)
    print(tables(results))


if __name__ == "__main__":
    main()
