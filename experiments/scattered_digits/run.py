"""Train, score and tabulate both halves on scattered digits: three seeds each, one after another.

    python experiments/scattered_digits/run.py --table     # prints the table of the saved results.json
    python experiments/scattered_digits/run.py             # about 20 minutes on 2 cores

Finished runs are not made again, interrupted ones go on. Writes results.json and prints the table;
--picture also draws picture.png from the first CNN's test canvases, and steps.svg, how the first LSTM comes to
an answer that it changed on the way.
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

from PIL import Image

from imgloc import draw, files
from imgloc.evaluation.metrics.localization import best_iou
from imgloc.evaluation.scoring import gallery_rows
from imgloc.report.page import write_report
from imgloc.runs import partial_predictions, prediction_table
from imgloc.runs.run_dir import RunDir

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "runs" / "scattered_digits"
MODELS = {"CNN, two looks": "digits_cnn", "LSTM, rows then columns": "digits_lstm"}
BASELINES = {"median box of training": "test/median_box", "whole-image box": "test/whole_image"}
SEEDS = (0, 1, 2)
METRICS = {"top1": "class right", "mean_iou": "mean IoU", "gt_known_50": "box right", "top1_loc_50": "both right"}


def make_run(config: str, seed: int) -> Path:
    """The finished and scored run of a config and seed."""
    folder = RUNS / f"{config}-{seed}"
    command = [sys.executable, "-m", "imgloc"]
    recipe = str(Path("configs") / f"{config}.py")
    subprocess.run([*command, "train", "--config", recipe, "--workdir", str(folder), f"--config.seed={seed}"], cwd=ROOT, check=True)
    subprocess.run([*command, "evaluate", str(folder), "--split", "test"], cwd=ROOT, check=True)
    return folder


def summary(folder: Path) -> dict[str, object]:
    """What results.json keeps of a run. Its seconds count only where one process, never stopped, did all of it."""
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


def table(found: dict[str, dict[str, dict[str, object]]]) -> str:
    """A Markdown table: medians over the seeds, and the lowest and highest in brackets."""
    titles = [f"{title} (`{name}`)" for name, title in METRICS.items()]
    lines = ["| | " + " | ".join(titles) + " | training |", "|---|" + "---|" * (len(METRICS) + 1)]
    for title, config in MODELS.items():
        runs = list(found[config].values())
        cells = [spread([run["results"]["test"][metric]["mean"] for run in runs]) for metric in METRICS]
        seconds = [run["seconds"] for run in runs]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {statistics.median(seconds):.0f} s |")
    first = found["digits_cnn"]["0"]
    for title, split in BASELINES.items():
        lines.append(f"| {title} | " + " | ".join(f"{first['results'][split][metric]['mean']:.3f}" for metric in METRICS) + " | |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Median with the lowest and the highest."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def picture(folder: Path, target: Path, columns: int = 8, side: int = 160) -> None:
    """Half of the median cases' pictures and all of the worst: true boxes and predicted ones."""
    meta = prediction_table.read_meta(folder / "rows" / "test.jsonl")
    table = prediction_table.read_rows(folder / "rows" / "test.jsonl", expected=meta or {})
    chosen = gallery_rows(table, files.read_json(folder / "config.json")["eval"]["gallery"])
    shown = [*chosen["median"][:columns], *chosen["worst"][:columns]]
    page = Image.new("RGB", (columns * side, 2 * side))
    for i, row in enumerate(shown):
        canvas = Image.open(folder / "thumbnails" / "test" / f"{row['id']}.png").resize((side - 4, side - 4), Image.Resampling.NEAREST)
        draw.draw_box(canvas, row["boxes"][0], draw.TRUE_COLOR)
        draw.draw_box(canvas, row["pred_box"], draw.PREDICTED_COLOR, str(row["top_labels"][0]))
        page.paste(canvas, (i % columns * side + 2, i // columns * side + 2))
    files.write_bytes(target, _png(page))


def steps(folder: Path, target: Path, among: int = 24) -> None:
    """The animated picture of an answer whose class and box are right: of the surest ones, that whose class changed most often."""
    meta = prediction_table.read_meta(folder / "rows" / "test.jsonl")
    table = prediction_table.read_rows(folder / "rows" / "test.jsonl", expected=meta or {})
    right = [row for row in table if row["top_labels"][0] == row["label"] and best_iou(row) >= 0.75]
    surest = [row["id"] for row in sorted(right, key=lambda row: row["top_scores"][0])[-among:]]
    subprocess.run([sys.executable, "-m", "imgloc", "evaluate", str(folder), "--steps", *surest], cwd=ROOT, check=True)
    shown = [files.read_json(partial_predictions.path_of(RunDir(folder), "test", example)) for example in surest]
    changes = [sum(a != b for a, b in itertools.pairwise(one["top_labels"])) for one in shown]
    with tempfile.TemporaryDirectory() as pictures:
        write_report([str(folder)], folder / "report.html", pictures=Path(pictures))
        shutil.copy(Path(pictures) / f"{surest[changes.index(max(changes))]}.svg", target)


def _png(page: Image.Image) -> bytes:
    content = io.BytesIO()
    page.quantize(64).save(content, "PNG", optimize=True)
    return content.getvalue()


def main() -> None:
    """Make what is missing, then tabulate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--picture", action="store_true", help="draw picture.png and steps.svg too")
    parser.add_argument("--table", action="store_true", help="only print the table of the saved results")
    wanted = parser.parse_args()
    if wanted.table:
        print(table(files.read_json(HERE / "results.json")))
        return
    found = {config: {str(seed): summary(make_run(config, seed)) for seed in SEEDS} for config in MODELS.values()}
    files.write_json(HERE / "results.json", found)
    print(table(found))
    if wanted.picture:
        picture(RUNS / "digits_cnn-0", HERE / "picture.png")
        steps(RUNS / "digits_lstm-0", HERE / "steps.svg")


if __name__ == "__main__":
    main()
