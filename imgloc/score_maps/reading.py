"""Score maps and masks from files, as wsolevaluation reads them (https://github.com/clovaai/wsolevaluation)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from imgloc.errors import UserError, one_line, printable
from imgloc.score_maps.levels import SIDE, resized
from imgloc.types import BoolArray, FloatArray

MAX_SIDE = 32_767  # of what OpenCV resizes


def read_score_map(path: Path) -> FloatArray:
    """Returns the score map [h, w] of a .npy file as float64. Raises UserError for other arrays and files; runs no pickle."""
    expected = "expected an array [height, width] of floats from 0 to 1, saved by numpy.save"
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)  # a header may claim more than the file has
    except FileNotFoundError:
        raise UserError(f"no score map '{printable(str(path))}'; {expected}") from None
    except Exception as error:  # NumPy parses the header, which may raise anything
        raise UserError(f"cannot read score map '{printable(str(path))}': {one_line(error, lines=1)}; {expected}") from error
    name = f"score map '{printable(str(path))}'"
    if not isinstance(stored, np.ndarray):
        raise UserError(f"{name} is an archive of several arrays; {expected}")
    if stored.ndim != 2 or not 0 < min(stored.shape) <= max(stored.shape) <= MAX_SIDE:
        raise UserError(f"{name} has the shape {stored.shape}; {expected}, with sides from 1 to {MAX_SIDE:,}")
    if stored.dtype.kind != "f":
        raise UserError(f"{name} has values of type {stored.dtype}; {expected}; possible: divide the values of 8-bit maps by 255")
    map_hxw = np.array(stored, np.float64)
    if not np.isfinite(map_hxw).all():
        raise UserError(f"{name} has {'NaN' if np.isnan(map_hxw).any() else 'infinite values'}; {expected}")
    if map_hxw.min() < 0 or map_hxw.max() > 1:
        raise UserError(f"{name} has values from {map_hxw.min():g} to {map_hxw.max():g}; {expected}; possible: min-max normalization")
    return map_hxw


def prepared(map_hxw: FloatArray) -> FloatArray:
    """Returns a map as it is if it has 224 x 224 pixels, else resized to that (bicubic) and normalized; float64."""
    if map_hxw.shape == (SIDE, SIDE):
        return map_hxw.astype(np.float64)
    return resized(map_hxw)


def read_mask(path: Path) -> BoolArray:
    """Returns the foreground [224, 224] of an image file: the pixels that are not black. Raises UserError for other files."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read mask '{printable(str(path))}': {error.strerror}; expected a file that the metadata names") from error
    grey_hxw = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if grey_hxw is None:
        raise UserError(f"mask '{printable(str(path))}' cannot be read by OpenCV; expected an image file, such as PNG")
    resized = cv2.resize(grey_hxw.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized > 0.5)


def read_masks(masks: Sequence[Path], ignored: Path | None) -> tuple[BoolArray, BoolArray]:
    """Returns the foreground of all masks of an image, and the background: neither foreground nor ignored."""
    foreground_hxw = np.logical_or.reduce([read_mask(path) for path in masks])
    background_hxw = ~foreground_hxw
    return foreground_hxw, background_hxw if ignored is None else background_hxw & ~read_mask(ignored)
