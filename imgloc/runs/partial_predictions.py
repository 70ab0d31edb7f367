"""Partial predictions of single examples, saved by `imgloc evaluate` for the report.

Each example has two files in `RUN/partial_predictions/SPLIT/`: NAME.json with the predictions and their provenance, and NAME.png with
the image. Files of another config, checkpoint or data than the rows are ignored. The file `checksums` lists every
file that was written: `imgloc report` refuses the folder if one was removed or changed, and `imgloc evaluate` makes all of them again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np

from imgloc import files
from imgloc.errors import UserError, one_line
from imgloc.runs.run_dir import RunDir
from imgloc.tasks.classify import softmax
from imgloc.types import MAX_PARTIAL_STEPS, FloatArray, IntArray, Outputs

CHECKSUMS = "checksums"  # no example has a file of this name: theirs have suffixes
BARS = 6  # classes whose probabilities are saved
MAX_OBJECTS = 12  # detected objects that are saved
NO_OBJECT = -1
READ = 9  # the digit of a cell that has been read completely; 0: not at all
UNKNOWN_TRUTH = (np.zeros((0, 4), np.float32), np.zeros(0, np.int32), -1)  # boxes, labels and label of an image without annotations

Number: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]  # boxes may extend outside of the image
Box: TypeAlias = tuple[Number, Number, Number, Number]
Digits: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]+\Z")]
Steps = msgspec.Meta(min_length=1, max_length=MAX_PARTIAL_STEPS)


class SavedPartialPredictions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The predictions for one example after each of s steps; lists have s entries, in the order of reading."""

    id: str
    why: str  # best, median, worst or chosen
    labels: list[int]  # in order of their probability at the last step; of detected objects, in the order in which they are named
    probabilities: Annotated[list[list[Number]], Steps]  # (s, labels)
    top_labels: Annotated[list[int], Steps]  # of detected objects, the one that the step names; NO_OBJECT: none
    top_scores: Annotated[list[Number], Steps]
    boxes: list[Box]  # xyxy in [0, 1] of the image; empty for a model without boxes
    x: list[int]  # the edges of the columns of a grid over the model's input, from 0 to its width
    y: list[int]  # the edges of its rows
    seen: Annotated[list[Digits], Steps]  # a digit from 0 to READ for each cell, row by row: how much of it has been read
    content: Box  # the part of the model's input that the image fills, a box in [0, 1]
    objects: list[Box] = []  # the box of each of `labels` for a model that detects objects; drawn where its probability is above 0
    fixations: list[Box] = []  # windows, which may extend outside of the image; empty for a model without attention
    made_of: dict[str, object] = {}  # the provenance of the rows, as in `prediction_table`

    def __post_init__(self) -> None:
        """Raises ValueError if the fields do not fit together."""
        steps, cells = len(self.seen), (len(self.x) - 1) * (len(self.y) - 1)
        lengths = {len(self.probabilities), len(self.top_labels), len(self.top_scores)}
        optional = {len(self.boxes), len(self.fixations)} - {0}
        if lengths | optional != {steps} or any(len(row) != len(self.labels) for row in self.probabilities):
            raise ValueError("lists have different lengths")
        if len(self.objects) not in (0, len(self.labels)):
            raise ValueError("there is not one box for each object")
        if cells < 1 or any(len(digits) != cells for digits in self.seen):
            raise ValueError("cells do not fill the grid")
        if any(edges[0] != 0 or any(a >= b for a, b in itertools.pairwise(edges)) for edges in (self.x, self.y)):
            raise ValueError("edges of the grid do not increase from 0")
        if not (self.content[0] < self.content[2] and self.content[1] < self.content[3]):
            raise ValueError("content box is empty")


def path_of(run: RunDir, split: str, example_id: str) -> Path:
    """The file of an example; its image has the suffix .png."""
    return folder(run, split) / f"{run.thumbnail(split, example_id).stem}.json"


def folder(run: RunDir, split: str) -> Path:
    """The folder of a split."""
    return run.path / "partial_predictions" / split


def summarize(
    example_id: str, why: str, partial: Outputs, content_4: FloatArray, label: int, *, least_score: float = 0.0
) -> SavedPartialPredictions:
    """The entry for one example from its output `partial_predictions`: NumPy arrays without the axis b, boxes in [0, 1] of the image.

    The true class `label` is among the classes. Of detected objects, those are kept whose score reaches `least_score`. Raises UserError
    if an array contains NaN or infinity.
    """
    with np.errstate(invalid="ignore"):  # an error is raised below
        checked = {**partial, "logits": softmax(partial["logits"])} if "logits" in partial else partial
    for name, value in checked.items():
        if not np.isfinite(np.asarray(value, np.float64)).all():
            raise UserError(f"the partial predictions for '{example_id}' contain NaN or infinity: partial_predictions/{name}")
    x, y, seen = _grid(np.asarray(partial["seen"]))
    predicted = _detected(partial, least_score) if "scores" in partial else _classified(checked["logits"], label)
    return SavedPartialPredictions(
        id=example_id,
        why=why,
        **predicted,
        boxes=_boxes(partial, "box"),
        x=x,
        y=y,
        seen=seen,
        content=tuple(np.asarray(content_4, np.float64).round(6).tolist()),
        fixations=_boxes(partial, "fixations"),
    )


def _classified(probabilities_sxk: FloatArray, label: int) -> dict[str, Any]:
    """The most probable classes, with the true one, and their probabilities at each step."""
    top_s = probabilities_sxk.argmax(axis=-1)
    likely = np.argsort(-probabilities_sxk.max(axis=0), kind="stable").tolist()
    candidates = [k for k in dict.fromkeys([int(top_s[-1]), label, *likely]) if 0 <= k < probabilities_sxk.shape[1]][:BARS]
    labels = sorted(candidates, key=lambda k: -probabilities_sxk[-1, k])
    return {
        "labels": labels,
        "probabilities": probabilities_sxk[:, labels].round(4).tolist(),
        "top_labels": top_s.tolist(),
        "top_scores": probabilities_sxk.max(axis=-1).round(4).tolist(),
    }


def _detected(partial: Outputs, least_score: float) -> dict[str, Any]:
    """The objects detected at the last step in the order of the output, their scores at each step, and the first one new at each step."""
    score_sxn = np.asarray(partial["scores"], np.float64)
    score_sxn = np.where(score_sxn >= least_score, score_sxn, 0.0)
    kept = np.flatnonzero(score_sxn[-1])[:MAX_OBJECTS]
    labels, scores_sxm = np.asarray(partial["labels"])[-1, kept].tolist(), score_sxn[:, kept].round(4)
    is_new_sxm = np.diff(scores_sxm > 0, axis=0, prepend=False) & (scores_sxm > 0)
    first = [int(np.argmax(new)) if new.any() else None for new in is_new_sxm]
    return {
        "labels": labels,
        "probabilities": scores_sxm.tolist(),
        "top_labels": [NO_OBJECT if i is None else labels[i] for i in first],
        "top_scores": [0.0 if i is None else float(scores[i]) for i, scores in zip(first, scores_sxm, strict=True)],
        "objects": [tuple(box) for box in np.asarray(partial["boxes"], np.float64)[-1, kept].round(5).tolist()],
    }


def _boxes(partial: Outputs, name: str) -> list[Box]:
    return [tuple(box) for box in np.asarray(partial[name], np.float64).round(5).tolist()] if name in partial else []


def _grid(seen_sxhxw: FloatArray) -> tuple[list[int], list[int], list[str]]:
    """The edges of columns and rows, and the digits of the cells at each step; equal adjacent columns or rows are merged."""
    digits = np.rint(READ * np.clip(seen_sxhxw, 0, 1)).astype(np.int64)
    y, x = _edges(digits, 1), _edges(digits, 2)
    cells = digits[:, y[:-1]][:, :, x[:-1]]
    return x.tolist(), y.tolist(), ["".join(map(str, step.ravel())) for step in cells]


def _edges(digits: IntArray, axis: int) -> IntArray:
    """The indices at which slices along an axis differ from the previous one, and both ends."""
    count = digits.shape[axis]
    differ = (np.diff(digits, axis=axis) != 0).any(axis=tuple(other for other in range(3) if other != axis))
    return np.concatenate([[0], 1 + np.flatnonzero(differ), [count]])


def write(run: RunDir, split: str, partial: SavedPartialPredictions, picture: bytes, made_of: Mapping[str, object]) -> None:
    """Save the partial predictions of an example and its image (PNG)."""
    path = path_of(run, split, partial.id)
    content = msgspec.json.encode(msgspec.structs.replace(partial, made_of=dict(made_of))) + b"\n"
    files.write_bytes(path.with_suffix(".png"), picture)
    files.write_bytes(path, content)
    entries = {**_checksums(run, split), path.name: _checksum(content), path.with_suffix(".png").name: _checksum(picture)}
    files.write_json(folder(run, split) / CHECKSUMS, entries)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _checksums(run: RunDir, split: str) -> dict[str, Any]:
    path = folder(run, split) / CHECKSUMS
    return run.read(path) if path.is_file() else {}


def check_files(run: RunDir, split: str) -> None:
    """Raises UserError where a file of a split was removed, damaged, changed or added after they were written."""
    if not (folder(run, split) / CHECKSUMS).is_file():  # of an earlier version, or there are none
        return
    try:
        checksums = _checksums(run, split)
    except UserError:
        raise _refused(run, split, folder(run, split) / CHECKSUMS, "is damaged") from None
    found = {path.name: path for path in folder(run, split).glob("*.*")}
    for name in sorted({*checksums, *found}):
        path = folder(run, split) / name
        if name not in found:
            raise _refused(run, split, path, "is missing")
        if name not in checksums or _checksum(path.read_bytes()) != checksums[name]:
            raise _refused(run, split, path, "was changed after it was written")


def _refused(run: RunDir, split: str, path: Path, what: str) -> UserError:
    again = f"to make all again but those of --partial-predictions, run: {run.evaluate_command(split)}"
    return UserError(f"'{path}' {what}; to do without partial predictions, remove that folder; {again}")


def read(run: RunDir, split: str, made_of: Mapping[str, object]) -> list[SavedPartialPredictions]:
    """The saved entries of a split with the same provenance as its rows, sorted by id; files of other rows are ignored.

    Raises UserError where a file is damaged, missing, or was changed.
    """
    check_files(run, split)
    entries = []
    for path in sorted(folder(run, split).glob("*.json")):
        try:
            partial = msgspec.json.decode(path.read_bytes(), type=SavedPartialPredictions)
        except (OSError, ValueError, RecursionError) as error:
            raise _refused(run, split, path, f"is damaged ({one_line(error)[:200]})") from error
        current = all(partial.made_of.get(key) == made_of.get(key) for key in ("config", "checkpoint", "step", "data"))
        if current and path == path_of(run, split, partial.id):
            entries.append(partial)
    return sorted(entries, key=lambda partial: partial.id)
