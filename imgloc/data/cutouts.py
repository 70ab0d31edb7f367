"""Cut-out objects: images with transparency in a folder for each class, or the labelled objects of annotated images."""

from __future__ import annotations

import bisect
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from imgloc import files
from imgloc.data.images import decode
from imgloc.data.images.headers import read_file
from imgloc.data.pasting import SUPPORT, CutOut
from imgloc.data.sources.folder import Folder
from imgloc.errors import UnreadableImage, UserError
from imgloc.types import FloatArray, Uint8Array

CACHE_BYTES = 2**28  # of decoded cut-outs in each process
SMALLEST = 4  # pixels: smaller cut-outs show nothing
FINER = 4  # a mask is drawn at this multiple of the image's resolution, then averaged
_LOCK = threading.Lock()  # of all caches

#: The polygons (p, 2) of each object by the object's box xyxy, both in the units of an annotation.
Outlines: TypeAlias = Mapping[tuple[float, ...], Sequence[FloatArray]]


class CutOuts(Protocol):
    """A numbered collection of cut-outs; `read` is the same bits each time."""

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def read(self, number: int) -> CutOut | None:
        """Returns a cut-out, or None if it is too small. Raises UnreadableImage."""


@dataclass(frozen=True)
class CutOutFiles:
    """Image files with transparency; one that is opaque is a rectangle."""

    root: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]  # bytes of each file
    labels: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        return files.fingerprint([list(self.names), list(self.sizes), list(self.labels)])

    def __len__(self) -> int:
        return len(self.names)

    def read(self, number: int) -> CutOut | None:
        """See `CutOuts`."""
        name = self.names[number]
        try:
            pixels, alpha = decode.decode_with_alpha(read_file(self.root, name))
        except UserError as error:
            raise UnreadableImage(f"{name}: {error}") from error
        return trimmed(pixels, None if alpha.min() == 255 else alpha, self.labels[number])


@dataclass(frozen=True)
class CutOutObjects:
    """The objects of a split of an annotated folder, cut along their polygons where they have some, else along their boxes."""

    folder: Folder
    side: int  # images may be decoded reduced, but no side below this
    outlines: Mapping[str, Outlines]  # by image file

    @cached_property
    def fingerprint(self) -> str:
        outlines = hashlib.sha256()
        for file, by_box in sorted(self.outlines.items()):
            for box, polygons in by_box.items():
                outlines.update(repr((file, box, [len(points_px2) for points_px2 in polygons])).encode())
                for points_px2 in polygons:
                    outlines.update(points_px2.tobytes())
        return files.fingerprint([self.folder.fingerprint, self.side, outlines.hexdigest()])

    @cached_property
    def _ends(self) -> list[int]:
        ends: list[int] = np.cumsum(self.folder.object_counts()).tolist()
        return ends

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, number: int) -> CutOut | None:
        """See `CutOuts`."""
        index = bisect.bisect_right(self._ends, number)
        place = number - (self._ends[index - 1] if index else 0)
        example = self.folder.reduced(index, self.side, self.side)
        if place >= len(example.boxes_nx4):  # boxes without area are counted
            return None
        box, label = example.boxes_nx4[place], int(example.labels_n[place])
        height, width = example.image_hxwxc.shape[:2]
        x0, y0 = np.floor(box[:2] * (width, height) + 1e-3).astype(int).tolist()
        x1, y1 = np.ceil(box[2:] * (width, height) - 1e-3).astype(int).tolist()
        crop = example.image_hxwxc[y0:y1, x0:x1]
        polygons = self._polygons(index, box)
        alpha = _draw_polygons([points_px2 * (width, height) - (x0, y0) for points_px2 in polygons], crop.shape[:2]) if polygons else None
        cut = trimmed(crop.copy(), alpha, label)
        return None if cut is None else cut._replace(relative_size=math.sqrt(cut.pixels_hxwx3[..., 0].size / (height * width)))

    def _polygons(self, index: int, box: FloatArray) -> list[FloatArray]:
        """The polygons (p, 2) of the object with this box, in [0, 1] of the upright image."""
        outlines = self.outlines.get(self.folder.entries[index].file)
        if not outlines:
            return []
        matches_n = np.isclose(self.folder.upright_boxes(index, np.array(list(outlines))), box, atol=1e-6).all(axis=1)
        if not matches_n.any():
            return []
        polygons = list(outlines.values())[int(matches_n.argmax())]
        points_px2 = self.folder.upright_boxes(index, np.tile(np.concatenate(polygons), 2))[:, :2]
        return np.split(points_px2, np.cumsum([len(points) for points in polygons])[:-1])


def _draw_polygons(polygons: Sequence[FloatArray], size: tuple[int, int]) -> Uint8Array:
    """The opacity (h, w) of the union of polygons (p, 2), which are in pixels."""
    mask = Image.new("L", (FINER * size[1], FINER * size[0]))
    pen = ImageDraw.Draw(mask)
    for points_px2 in polygons:
        pen.polygon([tuple(point) for point in (FINER * points_px2 - 0.5).tolist()], fill=255)
    return np.asarray(mask.reduce(FINER))


def trimmed(pixels_hxwx3: Uint8Array, alpha_hxw: Uint8Array | None, label: int) -> CutOut | None:
    """Returns a cut-out without its transparent margins; None if a side is below SMALLEST."""
    if alpha_hxw is not None:
        rows, columns = (np.flatnonzero((alpha_hxw >= SUPPORT).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        pixels_hxwx3, alpha_hxw = pixels_hxwx3[part], alpha_hxw[part]
    return CutOut(pixels_hxwx3, alpha_hxw, label) if min(pixels_hxwx3.shape[:2]) >= SMALLEST else None


@dataclass(frozen=True)
class Cached:
    """Cut-outs of which the last ones that were read stay in memory, up to `limit` bytes; copies in other processes start empty."""

    cutouts: CutOuts
    limit: int = CACHE_BYTES

    @property
    def fingerprint(self) -> str:
        return self.cutouts.fingerprint

    def __len__(self) -> int:
        return len(self.cutouts)

    @cached_property
    def _kept(self) -> OrderedDict[int, CutOut | None]:
        return OrderedDict()

    @cached_property
    def _total(self) -> list[int]:
        return [0]  # bytes

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}

    def read(self, number: int) -> CutOut | None:
        """See `CutOuts`."""
        with _LOCK:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        found = self.cutouts.read(number)
        with _LOCK:
            if number not in self._kept:  # another thread may have read it meanwhile
                self._kept[number] = found
                self._total[0] += _bytes(found)
            while self._total[0] > self.limit:
                self._total[0] -= _bytes(self._kept.popitem(last=False)[1])
        return found


def _bytes(cut: CutOut | None) -> int:
    return 0 if cut is None else cut.pixels_hxwx3.nbytes + (0 if cut.alpha_hxw is None else cut.alpha_hxw.nbytes)
