"""The results of operations on images, as `imgloc show-features` shows them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from imgloc.config.build import Step, make_steps
from imgloc.config.resolve import complete_operation
from imgloc.errors import UserError
from imgloc.inference.predictions import as_picture
from imgloc.nn.preprocess import apply_step
from imgloc.reporting.feature_sheet import Picture, check_out, write_sheet
from imgloc.types import FloatArray

OPERATIONS = ("canny", "hog", "lbp")
SIZE = 480  # pixels of the longer side of an image: operations such as a blur of some pixels look different at other sizes
SIDE = 240  # pixels of a picture on the sheet, or fewer if `size` is less

Entry = str | Mapping[str, Any]  # NAME, NAME:OPTION=VALUE, or a dict of a name and options


def show_features(
    images: str | Path | Sequence[str | Path],
    operations: Sequence[Entry] = OPERATIONS,
    out: str | Path = "features.png",
    *,
    size: int = SIZE,
) -> Path:
    """Write a sheet (.png) of the results of operations on images, and return its path.

    `images` are paths of image files. An operation is a name, a text such as `canny:sigma=2:high=0.4`, or a dict of a name and options, as
    in `config.data.preprocess`. Each one reads the image itself, reduced so that its longer side has at most `size` pixels. Raises
    UserError for an unknown operation or option, and for an image that cannot be read.
    """
    if size < 1:
        raise UserError(f"size must be at least 1 pixel, got {size}")
    entries = [parse_operation(each) if isinstance(each, str) else each for each in operations]
    steps = make_steps([complete_operation(entry, "operations") for entry in entries])
    paths = [images] if isinstance(images, (str, Path)) else list(images)
    if not paths or not steps:
        raise UserError("a sheet needs at least one image and one operation")
    check_out(Path(out))
    titles = [title(entry) for entry in entries]
    sheets = []
    for path in paths:
        image_hxwxc = _reduced(as_picture(path, 3).pixels_hxwxc.astype(np.float32) / 255, size)
        shown = [Picture(name, _picture(image_hxwxc, step)) for name, step in zip(titles, steps, strict=True)]
        sheets.append([Picture(Path(path).name, image_hxwxc), *shown])
    write_sheet(sheets, Path(out), min(size, SIDE))
    return Path(out)


def parse_operation(text: str) -> dict[str, Any]:
    """The entry of a text such as `canny:sigma=2:high=0.4`. Raises UserError for an option without a value."""
    name, *options = text.split(":")
    entry: dict[str, Any] = {"name": name}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            raise UserError(f"'{option}' of operation '{text}' is not an option; expected OPTION=VALUE, such as canny:sigma=2")
        entry[key] = _value(value)
    return entry


def title(entry: Mapping[str, Any]) -> str:
    """The name of an operation and its options as they are given."""
    return " ".join([entry["name"], *(f"{key}={value}" for key, value in entry.items() if key != "name")])


def _value(text: str) -> Any:
    """A Python literal, or the text itself where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _reduced(image_hxwxc: FloatArray, size: int) -> FloatArray:
    height, width = image_hxwxc.shape[:2]
    scale = size / max(height, width)
    if scale >= 1:
        return image_hxwxc
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image_hxwxc, shape, interpolation=cv2.INTER_AREA), np.float32)


def _picture(image_hxwxc: FloatArray, step: Step) -> FloatArray:
    maps = jax.jit(lambda images: apply_step(images, step))(jnp.asarray(image_hxwxc[None]))
    return step.picture(np.asarray(maps[0]))
