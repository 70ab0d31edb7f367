"""The check of the data before training, and its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from imgloc.config.build import make_source
from imgloc.config.object_counts import count_objects
from imgloc.config.registry import declared
from imgloc.data.checks.dataset import check_data
from imgloc.data.checks.faults import KINDS
from imgloc.errors import UserError
from imgloc.interfaces import Task

PARTS = {"image": "annotated images", "box": "boxes"}  # by what a fault makes unusable


def training_notes(config: ConfigDict, workdir: Path, *, allow_faults: bool, command: str) -> Iterator[str]:
    """Yield what a user should know about the data of a config, in lines, where its source can check the data quickly.

    `command` is the command that prints all faults. Raises UserError where a larger share of the annotations than
    `data.max_unusable` is unusable, unless `allow_faults`.
    """
    if declared("tasks", config.task, Task).learns_all_objects:
        yield from _objects_beyond(config)
    findings = check_data(config.data, config.seed, thorough=False)
    if findings is None:
        return
    share, worst = findings.unusable
    if worst is not None and share > config.data.max_unusable and not allow_faults:
        unusable = PARTS.get(KINDS[worst.kind].unusable)
        many = f"{share:.0%} of the {unusable} are unusable (data.max_unusable is {config.data.max_unusable:g}): " if unusable else ""
        raise UserError(
            f"{many}{worst.where}: {worst.what} - {KINDS[worst.kind].effect}; "
            f"correct the data (see: {command}), or add --allow-faults (in Python: allow_faults=True) to train without them"
        )
    if findings.several:
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


def _objects_beyond(config: ConfigDict) -> Iterator[str]:
    """Yield a line if images of the training split have more objects than are kept."""
    most, counts_n = config.data.max_objects, count_objects(make_source(config.data, "train", config.seed))
    beyond_n = np.maximum(counts_n - most, 0)
    if beyond_n.any():
        share = beyond_n.sum() / counts_n.sum()
        yield (
            f"{np.count_nonzero(beyond_n):,} of {len(counts_n):,} training images have more than data.max_objects = {most} objects: "
            f"{share:.2%} of all objects are not learned; --config.data.max_objects=0 keeps all (at most {counts_n.max()} in an image)"
        )


def several_objects(several: int, images: int, task: str) -> str:
    """Return a sentence: how many images have several objects, and what the task does with them."""
    return f"{several:,} of {images:,} images have several objects; task {task} {declared('tasks', task, Task).objects}"
