"""What a model would have said of an example after each step of reading it, as `imgloc evaluate` saves it for the report.

`RUN/steps/SPLIT/NAME.json`, one file an example, with what it was made of; beside it `NAME.png`, the picture. Steps of another
config, checkpoint or data than the rows count as none.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.errors import UserError
from imgloc.rundir import RunDir
from imgloc.types import MOST_MOMENTS, FloatArray, IntArray, Outputs

BARS = 6  # classes whose probabilities are kept at each step
LARGEST = 1e6  # number that is read, either sign: boxes may lie outside of the picture
READ = 9  # written for what has been read; 0: not at all


@dataclass(frozen=True)
class SavedSteps:
    """One example, step by step; lists of s entries, in the order of reading."""

    id: str
    why: str  # best, median, worst, chosen
    labels: list[int]  # of the classes whose probabilities are kept, the likeliest at the end first
    probabilities: list[list[float]]  # (s, labels)
    top_labels: list[int]
    top_scores: list[float]
    boxes: list[list[float]]  # xyxy in [0, 1] of the picture; none where the model does not locate
    x: list[int]  # edges of the grid's columns, from 0 to its width: all that the model sees
    y: list[int]  # of its rows
    seen: list[str]  # a digit for each cell of the grid, row after row: 0 to READ, how much of it has been read
    content: list[float]  # the part of what the model sees, a box in [0, 1], that the picture fills
    looks: list[list[float]] = field(default_factory=list)  # windows, beyond [0, 1] too; none where the model does not look around


def place(run: RunDir, split: str, example_id: str) -> Path:
    """Where the steps of an example lie; its picture has the suffix .png."""
    return folder(run, split) / f"{run.thumbnail(split, example_id).stem}.json"


def folder(run: RunDir, split: str) -> Path:
    """Where the steps of a split lie."""
    return run.path / "steps" / split


def summarized(example_id: str, why: str, steps: Outputs, content_4: FloatArray, label: int) -> SavedSteps:
    """What is kept of one example's output `steps` (NumPy, no axis b, boxes of the picture); its true class is among the classes kept.

    Raises UserError where some of it is no number.
    """
    logits_sxk = np.asarray(steps["logits"], np.float64)
    with np.errstate(invalid="ignore"):  # it is told
        exponent = np.exp(logits_sxk - logits_sxk.max(axis=-1, keepdims=True))
        probabilities_sxk = exponent / exponent.sum(axis=-1, keepdims=True)
    for name, value in {**steps, "logits": probabilities_sxk}.items():
        if not np.isfinite(np.asarray(value, np.float64)).all():
            raise UserError(f"the answers step by step for '{example_id}' are no numbers: nan or inf in steps/{name}")
    top_s = probabilities_sxk.argmax(axis=-1)
    likely = np.argsort(-probabilities_sxk.max(axis=0), kind="stable").tolist()
    first = [k for k in dict.fromkeys([int(top_s[-1]), label, *likely]) if 0 <= k < logits_sxk.shape[1]][:BARS]
    labels = sorted(first, key=lambda k: -probabilities_sxk[-1, k])
    x, y, seen = _grid(np.asarray(steps["seen"]))
    return SavedSteps(
        id=example_id,
        why=why,
        labels=labels,
        probabilities=probabilities_sxk[:, labels].round(4).tolist(),
        top_labels=top_s.tolist(),
        top_scores=probabilities_sxk.max(axis=-1).round(4).tolist(),
        boxes=np.asarray(steps["box"], np.float64).round(5).tolist() if "box" in steps else [],
        x=x,
        y=y,
        seen=seen,
        content=np.asarray(content_4, np.float64).round(6).tolist(),
        looks=np.asarray(steps["looks"], np.float64).round(5).tolist() if "looks" in steps else [],
    )


def _grid(seen_sxhxw: FloatArray) -> tuple[list[int], list[int], list[str]]:
    """Edges of columns and of rows, and the digits of each cell at each step; equal neighbours are one column, one row."""
    digits = np.rint(READ * np.clip(seen_sxhxw, 0, 1)).astype(np.int64)
    y, x = _edges(digits, 1), _edges(digits, 2)
    cells = digits[:, y[:-1]][:, :, x[:-1]]
    return x.tolist(), y.tolist(), ["".join(map(str, step.ravel())) for step in cells]


def _edges(digits: IntArray, axis: int) -> IntArray:
    """Where slices along an axis differ from the one before, with both ends."""
    count = digits.shape[axis]
    differ = (np.diff(digits, axis=axis) != 0).any(axis=tuple(other for other in range(3) if other != axis))
    return np.concatenate([[0], 1 + np.flatnonzero(differ), [count]])


def write(run: RunDir, split: str, steps: SavedSteps, picture: bytes, made_of: Mapping[str, Any]) -> None:
    """Save an example's steps and its picture (PNG)."""
    path = place(run, split, steps.id)
    files.write_bytes(path.with_suffix(".png"), picture)
    files.write_text(path, json.dumps({"made_of": dict(made_of), **dataclasses.asdict(steps)}, allow_nan=False) + "\n")


def read(run: RunDir, split: str, made_of: Mapping[str, Any]) -> list[SavedSteps]:
    """All steps of a split that were made of the same as its rows, by id; damaged and stale files are passed over."""
    found = []
    for path in sorted(folder(run, split).glob("*.json")):
        try:
            saved = dict(files.read_json(path))
            theirs = saved.pop("made_of")
            steps = SavedSteps(**saved)
            current = all(theirs.get(key) == made_of.get(key) for key in ("config", "checkpoint", "step", "data"))
            if current and _is_whole(steps) and path == place(run, split, steps.id):
                found.append(steps)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            continue
    return sorted(found, key=lambda steps: steps.id)


def _is_whole(steps: SavedSteps) -> bool:
    count, cells = len(steps.seen), (len(steps.x) - 1) * (len(steps.y) - 1)
    rows_of_numbers = [*steps.probabilities, *steps.boxes, *steps.looks, steps.top_scores, steps.content]
    return (
        count == len(steps.probabilities) == len(steps.top_labels) == len(steps.top_scores)
        and 0 < count <= MOST_MOMENTS
        and len(steps.boxes) in (0, count)
        and len(steps.looks) in (0, count)
        and all(len(row) == len(steps.labels) > 0 for row in steps.probabilities)
        and all(len(box) == 4 for box in (*steps.boxes, *steps.looks, steps.content))
        and all(len(digits) == cells > 0 and digits.isascii() and digits.isdecimal() for digits in steps.seen)
        and all(type(text) is str for text in (steps.id, steps.why))
        and all(type(whole) is int for whole in (*steps.labels, *steps.top_labels, *steps.x, *steps.y))
        and all(type(number) in (int, float) and abs(number) < LARGEST for row in rows_of_numbers for number in row)
        and all(edges[0] == 0 and all(a < b for a, b in itertools.pairwise(edges)) for edges in (steps.x, steps.y))
        and steps.content[0] < steps.content[2]
        and steps.content[1] < steps.content[3]
    )
