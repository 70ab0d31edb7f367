"""Writing predictions in the formats of other tools: one file of `imgloc/inference/exports` for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from imgloc import files
from imgloc.config.registry import declared, names
from imgloc.errors import UserError
from imgloc.interfaces import Export, ImageRow, Task

RECORD = "export.json"  # in a folder that an export has written: the names of its files


def check_format(name: str, task_name: str, task: Task) -> Export:
    """Return the export format of a name. Raises UserError where there is none, or where it needs boxes that the task lacks."""
    form = declared("inference.exports", name, Export)
    if form.needs_boxes and not task.has_boxes:
        possible = ", ".join(_without_boxes())
        raise UserError(f"export format '{name}' needs boxes, which the task '{task_name}' does not predict; possible: {possible}")
    return form


def _without_boxes() -> Iterator[str]:
    for name in names("inference.exports"):
        if not declared("inference.exports", name, Export).needs_boxes:
            yield name


def export(form: Export, rows: Sequence[ImageRow], classes: Sequence[str], task: Task, folder: Path) -> Path:
    """Write rows in a format to a folder that is new, empty, or of an earlier export, and return it.

    Files of the earlier export are removed. Raises UserError for a folder that contains other files.
    """
    record = folder / RECORD
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not record.is_file())):
        raise UserError(f"'{folder}' contains other files and no export; choose a new or empty folder")
    files.check_writable(folder)
    written = form.files(rows, classes, task)
    earlier = files.read_json(record)["files"] if record.is_file() else []
    for name in set(earlier) - set(written):
        if (folder / name).resolve().is_relative_to(folder.resolve()):  # the record is data, perhaps of somebody else
            (folder / name).unlink(missing_ok=True)
    files.write_json(record, {"files": sorted(written)})  # first, so that an interrupted export can be repeated
    for name, text in written.items():
        files.write_text(folder / name, text)
    return folder
