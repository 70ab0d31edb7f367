"""Trains, scores and tabulates the CNN and the LSTM on scattered digits, three seeds each.

    python experiments/scattered_digits/run.py --table     # prints the table of results.json
    python experiments/scattered_digits/run.py             # about 20 minutes on 2 cores

Finished runs are kept and interrupted ones are resumed. Writes results.json and prints the table. --picture also draws picture.png
from the first CNN's test canvases, and steps.svg, a prediction of the first LSTM that changes while it reads the image.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from imgloc import draw, files
from imgloc.evaluation.scoring import gallery_rows
from imgloc.reporting.page import write_report
from imgloc.runs import partial_predictions, prediction_table
from imgloc.runs.run_dir import RunDir
from imgloc.tasks import localize
from imgloc.types import Row

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "runs" / "scattered_digits"
MODELS = {"CNN, two looks": "digits_cnn", "LSTM, two passes": "digits_lstm"}
BASELINES = {"median box of training": "test/median_box", "whole-image box": "test/whole_image"}
SEEDS = (0, 1, 2)
Results: TypeAlias = dict[str, dict[str, dict[str, Any]]]  # config -> seed -> record of a run
METRICS = ("top1", "mean_iou", "gt_known_loc_50", "top1_loc_50")  # class correct, mean IoU, box correct, both correct


def make_run(config: str, seed: int) -> Path:
    """Trains and scores the run of a config and seed; returns its folder."""
    folder = RUNS / f"{config}-{seed}"
    command = [sys.executable, "-m", "imgloc"]
    recipe = str(Path("configs") / f"{config}.py")
    subprocess.run([*command, "train", "--config", recipe, "--workdir", str(folder), f"--config.seed={seed}"], cwd=ROOT, check=True)
    subprocess.run([*command, "evaluate", str(folder), "--split", "test"], cwd=ROOT, check=True)
    return folder


def summary(folder: Path) -> dict[str, Any]:
    """Returns what results.json keeps of a run. The run must have been trained by one process, whose seconds are reported."""
    if not (folder / "finished.json").exists():
        sys.exit(f"{folder} is not finished; run this again")
    provenance = files.read_json(folder / "provenance.json")
    (session,) = provenance["sessions"]
    return {
        "seconds": session["seconds"],
        "command": session["command"].replace(f"{ROOT}/", ""),
        "commit": session["commit"],
        "dirty": session["dirty"],
        "machine": provenance["machine"],
        "jax": provenance["packages"]["jax"],
        "python": provenance["python"],
        "results": {
            split: {metric: values[metric] for metric in METRICS} for split, values in files.read_json(folder / "results.json").items()
        },
    }


def table(results: Results) -> str:
    """Returns a Markdown table: medians over the seeds, with the lowest and highest in brackets."""
    titles = [f"`{name}`" for name in METRICS]
    lines = ["| | " + " | ".join(titles) + " | training |", "|---|" + "---|" * (len(METRICS) + 1)]
    for title, config in MODELS.items():
        runs = list(results[config].values())
        cells = [spread([run["results"]["test"][metric]["mean"] for run in runs]) for metric in METRICS]
        seconds = [run["seconds"] for run in runs]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {statistics.median(seconds):.0f} s |")
    first = results["digits_cnn"]["0"]
    for title, split in BASELINES.items():
        lines.append(f"| {title} | " + " | ".join(f"{first['results'][split][metric]['mean']:.3f}" for metric in METRICS) + " | |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Returns the median with the lowest and the highest."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}\N{EN DASH}{max(values):.3f})"


def picture(folder: Path, target: Path, columns: int = 8, side: int = 160) -> None:
    """Draws true and predicted boxes on images of the report's gallery: the first medians above, the first of the worst below."""
    chosen = gallery_rows(read_test_rows(folder), localize.TASK, files.read_json(folder / "config.json")["eval"]["gallery"])
    shown = [*chosen["median"][:columns], *chosen["worst"][:columns]]
    page = Image.new("RGB", (columns * side, 2 * side))
    for i, row in enumerate(shown):
        canvas = Image.open(folder / "thumbnails" / "test" / f"{row['id']}.png").resize((side - 4, side - 4), Image.Resampling.NEAREST)
        draw.draw_box(canvas, row["boxes"][0], draw.TRUE_COLOR)
        draw.draw_box(canvas, row["pred_box"], draw.PREDICTED_COLOR, str(row["top_labels"][0]))
        page.paste(canvas, (i % columns * side + 2, i // columns * side + 2))
    files.write_bytes(target, _png(page))


def read_test_rows(folder: Path) -> list[Row]:
    """Returns the saved predictions of a run for the test images."""
    path = folder / "rows" / "test.jsonl"
    return prediction_table.read_rows(path, expected=prediction_table.read_meta(path) or {})


def steps(folder: Path, target: Path, among: int = 24) -> None:
    """Draws the partial predictions of a correct prediction: among the most confident ones, that whose class changed most often."""
    correct = [row for row in read_test_rows(folder) if row["top_labels"][0] == row["label"] and localize.best_iou(row) >= 0.75]
    confident = [row["id"] for row in sorted(correct, key=lambda row: row["top_scores"][0])[-among:]]
    command = [sys.executable, "-m", "imgloc", "evaluate", str(folder), "--partial-predictions", *confident]
    subprocess.run(command, cwd=ROOT, check=True)
    partial = [files.read_json(partial_predictions.path_of(RunDir(folder), "test", example)) for example in confident]
    changes = [sum(a != b for a, b in itertools.pairwise(prediction["top_labels"])) for prediction in partial]
    with tempfile.TemporaryDirectory() as pictures:
        write_report([str(folder)], folder / "report.html", pictures=Path(pictures))
        shutil.copy(Path(pictures) / f"{confident[changes.index(max(changes))]}.svg", target)


def _png(page: Image.Image) -> bytes:
    content = io.BytesIO()
    page.quantize(64).save(content, "PNG", optimize=True)
    return content.getvalue()


def main() -> None:
    """Trains missing runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--picture", action="store_true", help="also draw picture.png and steps.svg")
    parser.add_argument("--table", action="store_true", help="print the table of the saved results and stop")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(files.read_json(HERE / "results.json")))
        return
    results = {config: {str(seed): summary(make_run(config, seed)) for seed in SEEDS} for config in MODELS.values()}
    files.write_json(HERE / "results.json", results)
    print(table(results))
    if arguments.picture:
        picture(RUNS / "digits_cnn-0", HERE / "picture.png")
        steps(RUNS / "digits_lstm-0", HERE / "steps.svg")


if __name__ == "__main__":
    main()
