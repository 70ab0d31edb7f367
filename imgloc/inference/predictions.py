"""Predictions for images in Python: each shows itself in a notebook, and all of them are a table or files of other tools."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from PIL import Image

from imgloc import draw
from imgloc.data.images import decode
from imgloc.data.images.picture import Picture
from imgloc.errors import UserError, printable
from imgloc.inference.export import check_format, export
from imgloc.inference.exports.csv import BOX_COLUMNS, records
from imgloc.interfaces import ImageRow, Task
from imgloc.types import Row, Uint8Array

if TYPE_CHECKING:
    import pandas as pd

ImageLike = str | Path | Uint8Array | Image.Image
SHOWN = 12  # images of several predictions in a notebook


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one image. A notebook shows it as the image with the predicted boxes.

    `answer` is the answer of the task. That of `localize` has the fields `label`, `score`, and `box`: x0, y0, x1, y1 in pixels of the
    image as it is stored. `row` holds the columns that `imgloc evaluate` writes, with boxes in [0, 1] of the upright image.
    """

    name: str  # the path of the image, or its number in the list
    answer: Any
    row: Row = field(repr=False)
    width: int  # of the upright image, in pixels
    height: int
    image: ImageLike = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    task: Task = field(repr=False)

    def draw(self) -> Image.Image:
        """Return the upright image with the predicted boxes, in RGB. A path is read again."""
        picture = draw.to_picture(as_picture(self.image, 3).pixels_hxwxc)
        draw.draw_detections(picture, self.task.shown(self.row), self.classes)
        return picture

    def _repr_png_(self) -> bytes:
        return _png(self.draw())


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions for several images, in order. A notebook shows the first ones as images with their boxes."""

    items: tuple[Prediction, ...]
    classes: tuple[str, ...] = field(repr=False)
    task_name: str = field(repr=False)
    task: Task = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        return dataclasses.replace(self, items=self.items[index]) if isinstance(index, slice) else self.items[index]

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas DataFrame with one row for each predicted box: image, width, height, class, score, x0, y0, x1, y1.

        Edges are in pixels of the upright image. A task without boxes has one row for each image, with the fields of its answer.
        """
        import pandas as pd

        return pd.DataFrame(list(records(self._rows(), self.classes, self.task)), columns=BOX_COLUMNS if self.task.has_boxes else None)

    def export(self, format: str, folder: str | Path) -> Path:  # noqa: A002  (the term of the field)
        """Write the predictions to a folder in the format `coco`, `yolo` or `csv`, and return the folder.

        The folder must be new, empty, or one that an earlier export has written, whose files are replaced. Raises UserError for
        another folder, for an unknown format, and for one that needs boxes that the task does not predict.
        """
        return export(check_format(format, self.task_name, self.task), self._rows(), self.classes, self.task, Path(folder))

    def _rows(self) -> list[ImageRow]:
        return [ImageRow(each.name, each.width, each.height, each.row) for each in self.items]

    def _repr_html_(self) -> str:
        figures = []
        for each in self.items[:SHOWN]:
            picture = each.draw()
            picture.thumbnail((draw.THUMBNAIL, draw.THUMBNAIL))
            source = base64.b64encode(_png(picture)).decode()
            text = _escaped(f"{Path(each.name).name}: {each.answer}")
            figures.append(f'<img src="data:image/png;base64,{source}" alt="{text}" title="{text}" style="margin:2px">')
        more = f"<p>and {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        return f'<div style="display:flex;flex-wrap:wrap">{"".join(figures)}</div>{more}'


def as_picture(image: ImageLike, channels: int) -> Picture:
    """A path, a Pillow image or a uint8 array (h, w) or (h, w, 1 or 3) with a number of channels. Raises UserError for others."""
    if isinstance(image, (str, Path)):
        return decode.read_picture(Path(image), channels=channels)
    if isinstance(image, Image.Image) and min(image.size) > 0:
        return decode.picture_of(image, channels=channels)
    array = np.asarray(image) if hasattr(image, "__array__") and not isinstance(image, Image.Image) else None
    if array is None or array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)) or not array.size:
        got = f"{type(image).__name__} of size {image.size}" if isinstance(image, Image.Image) else type(image).__name__
        got = got if array is None else f"{array.dtype} {array.shape}"
        raise UserError(f"an image is a path, a Pillow image or a uint8 array (h, w), (h, w, 1) or (h, w, 3); got {got}")
    pixels = decode.with_channels(array if array.ndim == 3 else array[..., None], channels)
    return Picture(pixels, width=pixels.shape[1], height=pixels.shape[0])


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _escaped(text: str) -> str:
    import html

    return html.escape(printable(text))
