"""Draws picture.png from the first CNN's test canvases, and steps.svg, a prediction of the first LSTM that changes while it reads."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from imgloc import draw, files
from imgloc.evaluation.scoring import gallery_rows
from imgloc.experiments.points import folder_name
from imgloc.reporting.page import write_report
from imgloc.runs import partial_predictions, prediction_table
from imgloc.runs.run_dir import RunDir
from imgloc.tasks import localize
from imgloc.types import Row


def pictures(_: dict[str, Any], workdir: Path) -> dict[str, bytes]:
    """Returns the two files from the run folders of seed 0."""
    return {
        "picture.png": boxes(workdir / folder_name("CNN, two looks", 0)),
        "steps.svg": steps(workdir / folder_name("LSTM, two passes", 0)),
    }


def boxes(folder: Path, columns: int = 8, side: int = 160) -> bytes:
    """Returns true and predicted boxes on images of the report's gallery: the first medians above, the first of the worst below."""
    chosen = gallery_rows(saved_rows(folder), localize.TASK, files.read_json(folder / "config.json")["eval"]["gallery"])
    page = Image.new("RGB", (columns * side, 2 * side))
    for i, row in enumerate([*chosen["median"][:columns], *chosen["worst"][:columns]]):
        canvas = Image.open(folder / "thumbnails" / "test" / f"{row['id']}.png").resize((side - 4, side - 4), Image.Resampling.NEAREST)
        draw.draw_box(canvas, row["boxes"][0], draw.TRUE_COLOR)
        draw.draw_box(canvas, row["pred_box"], draw.PREDICTED_COLOR, str(row["top_labels"][0]))
        page.paste(canvas, (i % columns * side + 2, i // columns * side + 2))
    content = io.BytesIO()
    page.quantize(64).save(content, "PNG", optimize=True)
    return content.getvalue()


def saved_rows(folder: Path) -> list[Row]:
    """Returns the saved predictions of a run for the test images."""
    path = folder / "rows" / "test.jsonl"
    return prediction_table.read_rows(path, expected=prediction_table.read_meta(path) or {})


def steps(folder: Path, among: int = 24) -> bytes:
    """Returns the partial predictions of a correct prediction: among the most confident ones, that whose class changed most often."""
    correct = [row for row in saved_rows(folder) if row["top_labels"][0] == row["label"] and localize.best_iou(row) >= 0.75]
    confident = [row["id"] for row in sorted(correct, key=lambda row: row["top_scores"][0])[-among:]]
    subprocess.run([sys.executable, "-m", "imgloc", "evaluate", str(folder), "--partial-predictions", *confident], check=True)
    partial = [files.read_json(partial_predictions.path_of(RunDir(folder), "test", example)) for example in confident]
    changes = [sum(a != b for a, b in itertools.pairwise(prediction["top_labels"])) for prediction in partial]
    with tempfile.TemporaryDirectory() as drawn:
        write_report([str(folder)], folder / "report.html", pictures=Path(drawn))
        return (Path(drawn) / f"{confident[changes.index(max(changes))]}.svg").read_bytes()
