"""The check of the data before training, and its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from imgloc.config.build import make_source
from imgloc.config.object_counts import count_objects
from imgloc.config.registry import declared, names
from imgloc.data.checks.dataset import check_data
from imgloc.data.checks.faults import KINDS
from imgloc.data.checks.folder import Findings
from imgloc.errors import UserError
from imgloc.interfaces import Task
from imgloc.types import IntArray

PARTS = {"image": "annotated images", "box": "boxes"}  # by what a fault makes unusable


def training_notes(config: ConfigDict, workdir: Path, *, allow_faults: bool, command: str) -> Iterator[str]:
    """Yield what a user should know about the data of a config, in lines, where its source can check the data quickly.

    `command` is the command that prints all faults. Raises UserError where a larger share of the annotations than
    `data.max_unusable` is unusable, unless `allow_faults`.
    """
    learns_all = learns_all_objects(config.task)
    if learns_all and (line := objects_left_out(count_objects(make_source(config.data, "train", config.seed)), config.data.max_objects)):
        yield line
    findings = check_data(config.data, config.seed, thorough=False)
    if findings is None:
        return
    if (why := refusal(findings, config.data.max_unusable)) and not allow_faults:
        raise UserError(
            f"{why}; correct the data (see: {command}), or add --allow-faults (in Python: allow_faults=True) to train without them"
        )
    if findings.several and not learns_all:
        yield several_objects(findings.several, findings.images, config.task)
    options = config.data.options
    folder = str(options.get("folder") or "")
    if folder and workdir.resolve().is_relative_to(Path(folder).resolve()):
        yield f"'{workdir}' is inside the data folder; run folders there are not read as data"
    if not findings.serious:
        return
    count, first = len(findings.serious), findings.serious[0]
    kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(fault.kind for fault in findings.serious).items())
    part = "" if findings.looked_at >= findings.images else f" ({findings.looked_at:,} of {findings.images:,} image files were checked)"
    summary = f"{count:,} fault{'s' if count > 1 else ''} in the data{part}: {kinds}"
    yield f"{summary}; first: {first.where}: {first.what} - {KINDS[first.kind].effect}; see: {command}"


def learns_all_objects(task: str) -> bool:
    """Return whether a task learns all objects of an image."""
    return declared("tasks", task, Task).learns_all_objects


def refusal(findings: Findings, max_unusable: float) -> str:
    """Return why training refuses data whose share of unusable annotations is above `max_unusable`; "" where it does not."""
    share, worst = findings.unusable
    if worst is None or share <= max_unusable:
        return ""
    unusable = PARTS.get(KINDS[worst.kind].unusable)
    many = f"{share:.0%} of the {unusable} are unusable (data.max_unusable is {max_unusable:g}): " if unusable else ""
    return f"{many}{worst.where}: {worst.what} - {KINDS[worst.kind].effect}"


def objects_left_out(counts_n: IntArray, most: int) -> str:
    """Return a line on the objects of training images that are beyond `data.max_objects`, of which 0 keeps all; "" if there are none.

    `counts_n` are the numbers of objects of the images.
    """
    beyond_n = np.maximum(counts_n - most, 0) if most else np.zeros_like(counts_n)
    if not beyond_n.any():
        return ""
    return (
        f"{np.count_nonzero(beyond_n):,} of {len(counts_n):,} training images have more than data.max_objects = {most} objects: "
        f"{beyond_n.sum():,} of {counts_n.sum():,} objects ({beyond_n.sum() / counts_n.sum():.2%}) are not learned; "
        f"--config.data.max_objects=0 keeps all (at most {counts_n.max()} in an image)"
    )


def several_objects(several: int, images: int, task: str) -> str:
    """Return a sentence: how many images have several objects, and what a task does with them; "" stands for no task."""
    if task:
        does = f"task {task} {declared('tasks', task, Task).objects}"
    else:
        does = f"the task of a recipe decides which are learned: {' and '.join(filter(learns_all_objects, names('tasks')))} learn all"
    return f"{several:,} of {images:,} images have several objects; {does}"
