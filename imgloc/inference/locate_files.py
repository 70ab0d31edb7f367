"""Predictions for image files: a line for each, and an annotated copy."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
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
THREADS = os.cpu_count() or 1  # that read files and write copies
MAX_PIXELS = 2**26  # of the images of a batch together, where annotated copies need them
MARK = "imgloc locate"  # in annotated copies


class Waiting(NamedTuple):
    """A file of the current batch: its image, or the reason why it has none."""

    path: str
    prepared: Prepared | None = None
    pixels: Uint8Array | None = None  # kept for the annotated copy
    target: Path | None = None  # where that is written
    error: str = ""


def locate_files(
    trained: TrainedModel, paths: Sequence[str], out: Path | None, later: Iterable[str | None] = ()
) -> Iterator[dict[str, Any]]:
    """One line for each file, in order: `path` and the answer of the task, or the `error`.

    Boxes are in pixels of the file as it is stored. Where EXIF turns or mirrors the image, `orientation` is its value, and boxes
    are given as viewers show them too. With `out`, an annotated copy of each image, upright, is written there as PNG under the
    name of the file; it replaces nothing but an earlier copy. `later` yields further paths, as they are found, and None where
    those before it are to be predicted without waiting for more.

    Threads read the next files and write copies while the model predicts.
    """
    copies = _Copies(out, paths)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        waiting: list[Waiting] = []
        size = 0
        for each in _read_ahead(trained, itertools.chain(paths, later), copies, pool):
            if each is not None:
                waiting.append(each)
                size += 0 if each.pixels is None else each.pixels.size
            if waiting and (each is None or len(waiting) == BATCH or size >= MAX_PIXELS):
                yield from _lines(trained, waiting, pool)
                waiting, size = [], 0
        if waiting:
            yield from _lines(trained, waiting, pool)


def _read_ahead(trained: TrainedModel, paths: Iterable[str | None], copies: _Copies, pool: Executor) -> Iterator[Waiting | None]:
    """Read files in threads; yields them in order, and None where `paths` has it."""
    ahead = BATCH if copies.folder is None else 2 * THREADS  # for a copy, a file is in memory at its full size
    pending: collections.deque[Future[Waiting]] = collections.deque()
    for path in paths:
        if path is not None:
            pending.append(pool.submit(_read, path, trained, keep=copies.folder is not None))
        while pending and (path is None or len(pending) > ahead):
            yield copies.with_target(pending.popleft().result())
        if path is None:
            yield None
    for future in pending:
        yield copies.with_target(future.result())


def _read(path: str, trained: TrainedModel, *, keep: bool) -> Waiting:
    try:
        picture = decode.read_picture(Path(path), channels=3)  # in color even for a grey model: the annotated copy shows it
        return Waiting(path, prepare(picture, trained.spec), picture.pixels_hxwxc if keep else None)
    except UserError as error:
        return Waiting(path, error=str(error))
    except OSError as error:
        return Waiting(path, error=storage_message(error))


def _lines(trained: TrainedModel, waiting: Sequence[Waiting], pool: Executor) -> Iterator[dict[str, Any]]:
    prepared = [each.prepared for each in waiting if each.prepared is not None]
    rows = iter(trained.columns(prepared, BATCH) if prepared else [])
    found = [(each, next(rows) if each.prepared is not None else None) for each in waiting]
    yield from pool.map(functools.partial(_line_with_copy, trained), *zip(*found, strict=True))


def _line_with_copy(trained: TrainedModel, each: Waiting, row: Row | None) -> dict[str, Any]:
    if each.prepared is None or row is None:
        return {"path": each.path, "error": each.error or NOT_FINITE}
    try:
        if each.target is not None and each.pixels is not None:
            _write_annotated(each.pixels, trained, row, each.target)
    except OSError as error:
        return {"path": each.path, "error": storage_message(error)}
    return {"path": each.path, **answer_of(trained, row, each.prepared)}


def answer_of(trained: TrainedModel, row: Row, prepared: Prepared) -> dict[str, Any]:
    """The answer of the task for an image, as JSON values, from its prediction columns. Boxes are those of `locate_files`."""
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

    def with_target(self, read: Waiting) -> Waiting:
        """A file with the path of its copy, or with the error that the copy would replace something else than an earlier one."""
        if self.folder is None or read.error:
            return read
        target = self.folder / f"{files.unique_name(Path(read.path).stem, self._taken)}.png"
        try:
            if _place(target) in self._inputs:
                raise UserError(f"--out '{self.folder}' would overwrite the image '{target}'; choose another folder")
            files.check_replaceable(target, MARK.encode(), f"--out '{self.folder}'")
        except UserError as error:
            return Waiting(read.path, error=str(error))
        return read._replace(target=target)


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
        least = trained.task.calibration.get("score_threshold", 0.0)
        return saved.summarize(name, "chosen", partial, content_4, example.label, least_score=least), draw.thumbnail_png(pixels)

    return predict
