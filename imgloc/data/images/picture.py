"""An image that was read from a file, and the way from its pixels to those of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgloc.types import FloatArray, Uint8Array


@dataclass(frozen=True)
class Picture:
    """Upright pixels, and the geometry of the file that they come from."""

    pixels_hxwxc: Uint8Array
    width: int  # of the stored file, before its orientation is applied and without reduction
    height: int
    orientation: int = 1  # EXIF's, 1 (stored upright) to 8
    scale: int = 1  # the factor by which the file's sides are reduced

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the file at full size, as viewers show it."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    def stored_box(self, box: FloatArray) -> FloatArray:
        """Converts a box (4,), xyxy, from pixels of `pixels_hxwxc` to pixels of the stored file."""
        box = np.asarray(box, np.float64)
        if self.orientation >= 5:
            box = box[[1, 0, 3, 2]]
        # The orientation is undone before scaling: the last pixel of a reduced row may cover fewer pixels of the file.
        box = self._flip(box, -(-self.width // self.scale), -(-self.height // self.scale)) * self.scale
        return np.minimum(box, [self.width, self.height] * 2)

    def upright_box(self, box: FloatArray) -> FloatArray:
        """Converts a box (4,), xyxy, from pixels of `pixels_hxwxc` to upright pixels of the file at full size."""
        box = self._flip(self.stored_box(box), self.width, self.height)
        return box[[1, 0, 3, 2]] if self.orientation >= 5 else box

    def _flip(self, box: FloatArray, width: int, height: int) -> FloatArray:
        x0, y0, x1, y1 = box
        if self.orientation in (2, 3, 7, 8):
            x0, x1 = width - x1, width - x0
        if self.orientation in (3, 4, 6, 7):
            y0, y1 = height - y1, height - y0
        return np.array([x0, y0, x1, y1])
