"""Predictions for image files: a line for each, and an annotated copy."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgloc import draw, files
from imgloc.data.images import decode
from imgloc.errors import UserError, storage_message
from imgloc.inference.load import NOT_FINITE, Prepared, TrainedModel, prepare
from imgloc.inference.outputs import check_has_partial_predictions
from imgloc.inference.predict import abstract_outputs, compiled_partial_predictions, partial_predictions
from imgloc.inference.predictions import as_picture
from imgloc.runs import partial_predictions as saved
from imgloc.runs.partial_predictions import SavedPartialPredictions
from imgloc.types import Example, Row, Uint8Array

BATCH = 32  # images that are predicted together
MAX_PIXELS = 2**26  # of the images of a batch together, where annotated copies need them
MARK = "imgloc locate"  # in annotated copies


class Waiting(NamedTuple):
    """A file of the current batch: its image, or the reason why it has none."""

    path: str
    prepared: Prepared | None = None
    pixels: Uint8Array | None = None  # kept for the annotated copy
    target: Path | None = None  # where that is written
    error: str = ""


def locate_files(trained: TrainedModel, paths: Sequence[str], out: Path | None) -> Iterator[dict[str, Any]]:
    """One line for each file, in order: `path` and the answer of the task, or the `error`.

    Boxes are in pixels of the file as it is stored. Where EXIF turns or mirrors the image, `orientation` is its value, and boxes
    are given as viewers show them too. With `out`, an annotated copy of each image, upright, is written there as PNG under the
    name of the file; it replaces nothing but an earlier copy.
    """
    copies = _Copies(out, paths)
    waiting: list[Waiting] = []
    size = 0
    for path in paths:
        waiting.append(_read(path, trained, copies))
        pixels = waiting[-1].pixels
        size += 0 if pixels is None else pixels.size
        if len(waiting) == BATCH or size >= MAX_PIXELS:
            yield from _lines(trained, waiting)
            waiting, size = [], 0
    if waiting:
        yield from _lines(trained, waiting)


def _read(path: str, trained: TrainedModel, copies: _Copies) -> Waiting:
    try:
        picture = decode.read_picture(Path(path), channels=3)  # in color even for a grey model: the annotated copy shows it
        return Waiting(path, prepare(picture, trained.spec), None if copies.folder is None else picture.pixels_hxwxc, copies.target(path))
    except UserError as error:
        return Waiting(path, error=str(error))
    except OSError as error:
        return Waiting(path, error=storage_message(error))


def _lines(trained: TrainedModel, waiting: Sequence[Waiting]) -> Iterator[dict[str, Any]]:
    prepared = [each.prepared for each in waiting if each.prepared is not None]
    rows = iter(trained.columns(prepared, BATCH) if prepared else [])
    for each in waiting:
        row = next(rows) if each.prepared is not None else None
        if each.prepared is None or row is None:
            yield {"path": each.path, "error": each.error or NOT_FINITE}
            continue
        try:
            if each.target is not None and each.pixels is not None:
                _write_annotated(each.pixels, trained, row, each.target)
        except OSError as error:
            yield {"path": each.path, "error": storage_message(error)}
            continue
        yield {"path": each.path, **_line(trained, row, each.prepared)}


def _line(trained: TrainedModel, row: Row, prepared: Prepared) -> dict[str, Any]:
    task, classes = trained.task, trained.classes
    answer = task.answer(row, classes, prepared.stored_pixels)
    if prepared.picture.orientation == 1:
        return task.answer_json(answer, None)
    upright = task.answer(row, classes, prepared.upright_pixels)
    return {**task.answer_json(answer, upright), "orientation": prepared.picture.orientation}


class _Copies:
    """The names of annotated copies in a folder, which is None where there are none."""

    def __init__(self, folder: Path | None, paths: Sequence[str]) -> None:
        self.folder = folder
        self._taken: set[str] = set()
        self._inputs = {_place(Path(path)) for path in paths} if folder is not None else set()

    def target(self, path: str) -> Path | None:
        """Where the copy of a file is written. Raises UserError where it would replace anything but an earlier copy."""
        if self.folder is None:
            return None
        target = self.folder / f"{files.unique_name(Path(path).stem, self._taken)}.png"
        if _place(target) in self._inputs:
            raise UserError(f"--out '{self.folder}' would overwrite the image '{target}'; choose another folder")
        files.check_replaceable(target, MARK.encode(), f"--out '{self.folder}'")
        return target


def _place(path: Path) -> str:
    """The real path of a file: equal for all links to it."""
    return os.path.realpath(path).casefold()  # some file systems do not distinguish a.png from A.png


def _write_annotated(pixels: Uint8Array, trained: TrainedModel, row: Row, target: Path) -> None:
    picture = draw.to_picture(pixels)  # at its own size, so that the boxes of the line are boxes of the copy
    draw.draw_detections(picture, trained.task.shown(row), trained.classes)
    files.write_bytes(target, png(picture, MARK))


def png(picture: Image.Image, mark: str) -> bytes:
    """A picture as PNG with a mark by which `files.check_replaceable` knows it."""
    content, info = io.BytesIO(), PngInfo()
    info.add_text("Software", mark)
    picture.save(content, "PNG", pnginfo=info)
    return content.getvalue()


def partial_predictor(trained: TrainedModel) -> Callable[[Path, str], tuple[SavedPartialPredictions, bytes]]:
    """A function of a file and a name for it: its predictions after each step of reading, and a small copy of it as PNG.

    Raises UserError where the model has no output `partial_predictions`.
    """
    check_has_partial_predictions(abstract_outputs(trained.module, trained.variables, trained.spec.shape), trained.name)
    compiled = compiled_partial_predictions(trained.module, trained.devices, trained.dtype)

    def predict(path: Path, name: str) -> tuple[SavedPartialPredictions, bytes]:
        pixels = as_picture(path, trained.spec.shape[2]).pixels_hxwxc
        example = Example(pixels, *saved.UNKNOWN_TRUTH, name, "")
        ((partial, content_4),) = partial_predictions(compiled, trained.task, trained.variables, trained.devices, [example], trained.spec)
        return saved.summarize(name, "chosen", partial, content_4, example.label), draw.thumbnail_png(pixels)

    return predict
