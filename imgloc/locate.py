"""A trained run on pictures of one's own."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgloc import boxes, build, draw, files, mesh, predict, saved_steps
from imgloc.data.batches.view import View, shown
from imgloc.data.images import decode
from imgloc.errors import UserError, of_storage
from imgloc.rundir import open_run
from imgloc.saved_steps import SavedSteps
from imgloc.step import compute_dtype
from imgloc.types import Example, FloatArray, Uint8Array

PictureLike = str | Path | Uint8Array | Image.Image
MARK = "imgloc locate"  # in annotated copies
NO_PIXELS = np.zeros((0, 0, 1), np.uint8)
NO_BOXES, NO_LABELS = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)


class Found(NamedTuple):
    """What a run says of one picture."""

    label: str  # the class's name; of a run that reads several objects (task `read`) theirs, from left to right, a space between
    score: float  # its probability, or the product of theirs
    # x0, y0, x1, y1 in pixels of the picture, of a file as it is stored (`decode.Picture`); None: the run does not locate
    box: tuple[float, float, float, float] | None


class Loaded(NamedTuple):
    """A run ready for use: `predict` takes pictures (paths, Pillow images, uint8 arrays) and gives one Found each."""

    predict: Callable[[Sequence[PictureLike]], list[Found]]
    classes: tuple[str, ...]


class Opened(NamedTuple):
    """A run's model and variables on one device, which any number of pictures fits on, and how it sees pictures."""

    name: str  # of the model
    model: nn.Module
    variables: Any
    device: Mesh
    dtype: Any  # of the computation
    view: View
    classes: tuple[str, ...]
    reads: bool = False  # several objects: the task is `read`


def load(path: str | Path, *, checkpoint: str = "best", batch_size: int = 32) -> Loaded:
    """A predict function and the classes of a run folder. Raises UserError where it holds no trained run."""
    return predictor(opened(path, checkpoint=checkpoint), batch_size=batch_size)


def opened(path: str | Path, *, checkpoint: str = "best") -> Opened:
    """What `predictor` and `stepwise` want of a run folder. Raises UserError where it holds no trained run."""
    run, config = open_run(str(path))
    summary = run.read(run.data)
    classes = tuple(summary["classes"])
    view = build.make_view(config.data, int(summary["channels"]))
    one_device = mesh.make_mesh(jax.local_devices()[:1])
    variables, _ = predict.load_variables(run, config, view.shape, len(classes), checkpoint, one_device)
    model = build.make_model(config.model, len(classes))
    return Opened(config.model.name, model, variables, one_device, compute_dtype(config.train.dtype), view, classes, config.task == "read")


def stepwise(run: Opened) -> Callable[[PictureLike, str], tuple[SavedSteps, bytes]]:
    """A function of a picture and what to call it: what the run would answer after each step of reading it, and the picture, small, as PNG.

    Raises UserError where the run's model has no output `steps`.
    """
    if "steps" not in predict.output_names(run.model, run.variables, run.view.shape):
        possible = "one that reads forward and says one class, see README, Step by step"
        raise UserError(f"model '{run.name}' of this run has no output 'steps'; possible: {possible}")
    compiled = predict.compiled_steps(run.model, run.device, run.dtype)

    def find(picture: PictureLike, name: str) -> tuple[SavedSteps, bytes]:
        pixels = as_picture(picture, run.view.shape[2]).pixels_hxwxc
        example = Example(pixels, NO_BOXES, NO_LABELS, -1, name, "")  # its class is not known
        ((steps, content_4),) = predict.steps_of(compiled, run.variables, run.device, [example], run.view)
        return saved_steps.summarized(name, "chosen", steps, content_4, -1), draw.thumbnail(pixels)

    return find


def predictor(run: Opened, *, batch_size: int = 32) -> Loaded:
    """A predict function of an opened run, and its classes."""
    view, classes, variables, channels = run.view, run.classes, run.variables, run.view.shape[2]
    compiled = predict.compiled_predict(run.model, run.device, run.dtype)

    def find(pictures: Sequence[PictureLike]) -> list[Found]:
        if isinstance(pictures, (str, Path, Image.Image)):
            raise UserError("predict wants a list of pictures; put this one into [ ]")
        found: list[Found] = []
        for start in range(0, len(pictures), batch_size):
            several = pictures[start : start + batch_size]
            # Padded to a power of two: each batch size compiles once, and a single picture does not pay for many.
            padded = min(batch_size, 1 << (len(several) - 1).bit_length())
            stacked = np.zeros((padded, *view.shape), np.uint8)
            places = []  # not the pictures: many large ones would not fit into memory
            for i, picture in enumerate(several):
                read = as_picture(picture, channels)
                seen, content = shown(Example(read.pixels_hxwxc, NO_BOXES, NO_LABELS, 0, "", ""), view)
                stacked[i] = seen.image_hxwxc
                places.append((content, read.pixels_hxwxc.shape, dataclasses.replace(read, pixels_hxwxc=NO_PIXELS)))
            outputs = jax.device_get(compiled(variables, stacked))
            logits_bxnxk = outputs["sequence"] if run.reads else outputs["logits"][:, None]
            said = np.asarray(jax.nn.softmax(logits_bxnxk.astype(np.float64)))
            for i, (content, shape, place) in enumerate(places):
                if not all(np.isfinite(value[i]).all() for value in outputs.values()):
                    raise UserError("the run's answer is no number (nan or inf)")
                box = None
                if "box" in outputs:
                    of_image = boxes.from_letterbox(outputs["box"][i].astype(np.float64), content.astype(np.float64))
                    box = _four(place.stored_box(boxes.to_pixels(of_image, shape[1], shape[0])))
                found.append(Found(" ".join(classes[k] for k in said[i].argmax(axis=-1)), float(said[i].max(axis=-1).prod()), box))
        return found

    return Loaded(find, classes)


def as_picture(picture: PictureLike, channels: int) -> decode.Picture:
    """A path, a Pillow image or a uint8 array (h, w) or (h, w, 1 or 3) with its pixels in the wanted number of channels."""
    if isinstance(picture, (str, Path)):
        return decode.read_picture(Path(picture), channels=channels)
    if isinstance(picture, Image.Image):
        pixels = decode.to_array(picture, channels=channels)
    else:
        array = np.asarray(picture)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)) or not array.size:
            raise UserError(f"a picture is a path, a Pillow image or uint8 (h, w), (h, w, 1) or (h, w, 3); got {array.dtype} {array.shape}")
        pixels = decode.with_channels(array if array.ndim == 3 else array[..., None], channels)
    return decode.Picture(pixels, width=pixels.shape[1], height=pixels.shape[0])


def locate_files(loaded: Loaded, paths: Sequence[str], out: Path | None) -> Iterator[dict[str, object]]:
    """One answer a file, in order: path, class, score and box, or the reason why there is none.

    The box is in pixels of the file as it is stored. Where EXIF has it shown turned or mirrored, `orientation` says how,
    and `box_upright` is the box as viewers show the picture. With `out`, an annotated copy of each, upright, is
    written there, as PNG under the file's own name; never over anything but an earlier copy.
    """
    taken: set[str] = set()
    given = {_place(Path(path)) for path in paths} if out is not None else set()
    for path in paths:
        try:
            picture = decode.read_picture(Path(path), channels=3)
            found = loaded.predict([picture.pixels_hxwxc])[0]
            if out is not None:
                target = out / _free_name(Path(path), taken)
                if _place(target) in given:
                    raise UserError(f"--out '{out}' would overwrite the picture '{target}'; choose another folder")
                if not _is_free(target):
                    raise UserError(f"--out '{out}' would overwrite '{target}', which is no annotated copy; choose another folder")
                _write_annotated(picture.pixels_hxwxc, found, target)
        except UserError as error:
            yield {"path": path, "error": str(error)}
            continue
        except OSError as error:
            yield {"path": path, "error": of_storage(error)}
            continue
        box = None if found.box is None else np.asarray(found.box)
        answer = {"path": path, "class": found.label, "score": round(found.score, 6)}
        answer["box"] = None if box is None else _rounded(picture.stored_box(box))
        if picture.orientation > 1:
            answer["orientation"] = picture.orientation
            answer["box_upright"] = None if box is None else _rounded(picture.upright_box(box))
        yield answer


def _place(path: Path) -> str:
    """A file by where it lies, whatever links lead there; the path as it is where links go round in a circle."""
    return os.path.realpath(path).casefold()  # some file systems do not tell a.png from A.png


def _marked() -> PngInfo:
    """What tells an annotated copy from pictures of the user's own."""
    mark = PngInfo()
    mark.add_text("Software", MARK)
    return mark


def _is_free(target: Path) -> bool:
    """Whether an annotated copy may be written there: over nothing, or over an earlier one."""
    if not os.path.lexists(target):
        return True
    if not target.is_file():
        return False
    try:
        with Image.open(target, formats=("PNG",)) as there:
            return there.info.get("Software") == MARK
    except Exception:  # Pillow raises whatever its readers of damaged files raise
        return False


def _four(edges: FloatArray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(edge) for edge in edges)
    return x0, y0, x1, y1


def _rounded(edges: FloatArray) -> list[float]:
    return [round(edge, 3) for edge in _four(edges)]


def _free_name(path: Path, taken: set[str]) -> str:
    """The file's name as PNG; a second one of the same name gets a number."""
    name, number = f"{path.stem}.png", 2
    while name.casefold() in taken:  # some file systems do not tell a.png from A.png
        name, number = f"{path.stem}-{number}.png", number + 1
    taken.add(name.casefold())
    return name


def _write_annotated(pixels: Uint8Array, found: Found, target: Path) -> None:
    picture = draw.enlarged(draw.to_picture(pixels))
    if found.box is not None:
        box = boxes.from_pixels(np.asarray(found.box), pixels.shape[1], pixels.shape[0])
        draw.draw_box(picture, [float(edge) for edge in box], draw.PREDICTED_COLOR, f"{found.label} {found.score:.0%}")
    content = io.BytesIO()
    picture.save(content, "PNG", pnginfo=_marked())
    files.write_bytes(target, content.getvalue())
