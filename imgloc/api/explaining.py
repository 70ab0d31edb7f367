"""Score maps in Python, as `imgloc explain` computes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgloc import draw
from imgloc.config.registry import declared
from imgloc.data.images.picture import Picture
from imgloc.data.images.video import is_video, read_frames
from imgloc.errors import UserError, as_names
from imgloc.explanation.method import Method
from imgloc.inference.explain import box_of_map, explain_images, target_of
from imgloc.inference.load import Prepared, TrainedModel, images_in, open_model, prepare
from imgloc.inference.predictions import ImageLike, as_picture
from imgloc.reporting.heat_maps import HeatMap, SheetRow, overlay, write_sheet
from imgloc.types import FloatArray, Uint8Array

METHODS = ("grad_cam", "layer_cam", "integrated_gradients")
THRESHOLD = 0.2  # of the box, a share of the highest value: that of Zhou et al., 2016, arXiv:1512.04150, section 3.2


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where a score of one image comes from, by one method. A notebook shows it as a heat map over the image."""

    name: str  # the path of the image, or its number in the list
    method: str
    layer: str  # that the method explains by; "" for a method without one
    target: str
    score: float
    map_hxw: FloatArray = field(repr=False)  # in [0, 1], over the upright image
    box: tuple[float, ...] | None  # of the map: x0, y0, x1, y1 in pixels of the image as it is stored; None where the map is zeros
    box_of_image: FloatArray | None = field(repr=False)  # the same, xyxy in [0, 1] of the upright image
    pixels_hxwxc: Uint8Array = field(repr=False)

    def draw(self) -> Image.Image:
        """Return the upright image under the heat map, in RGB."""
        return overlay(draw.to_picture(self.pixels_hxwxc), self.map_hxw)

    def _repr_png_(self) -> bytes:
        return draw.thumbnail_png(np.asarray(self.draw()))


def explain(
    model: TrainedModel | str | Path,
    images: ImageLike | Sequence[ImageLike],
    methods: Sequence[str] = METHODS,
    *,
    target: str = "",
    layer: str = "",
    threshold: float = THRESHOLD,
    seed: int = 0,
    batch_size: int = 8,
    frames: int = 8,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    on_error: Callable[[str, UserError], None] | None = None,
) -> list[Explanation]:
    """Explain a score of a model for images: one explanation for each image and method, in order.

    `images` is an image as `TrainedModel.predict` takes it, a video file, of which `frames` are read, a folder, or several of these.
    `target` is a class, `edge:left` (`top`, `right`, `bottom`), `label:0`, `detection:0` or `detection:0:left`; by default the predicted
    class or the best detection. `layer` is the layer of methods that explain by one, by default the last one through which all of the
    score passes, or the one that the model declares. The box is that of the largest region of the map above `threshold` times its highest
    value. `options` are those of a method by its name, such as `{"rise": {"masks": 1000}}`.

    Raises UserError for an unknown method or target, for a layer without maps, and for an image that cannot be read or that has no such
    detection. With `on_error` such an image is left out, and the function is called with its name and the error.
    """
    names = as_names(methods)
    for name in names:
        declared("explanation.methods", name, Method)
    if not 0 <= threshold < 1 or frames < 1 or batch_size < 1:
        problem = f"threshold {threshold}, frames {frames} and batch_size {batch_size}"
        raise UserError(f"threshold must be at least 0 and below 1, frames and batch_size at least 1; got {problem}")
    trained = model if isinstance(model, TrainedModel) else open_model(model)
    asked = target_of(trained, target)
    report = on_error or _raise
    read = list(_read(images, trained, frames, report))
    prepared = [each for _, _, each in read]
    explained = explain_images(
        trained, prepared, names, asked, layer=layer, seed=seed, batch_size=batch_size, options=_checked(options, names)
    )
    explanations = []
    for (name, pixels, each), maps in zip(read, explained, strict=True):
        if isinstance(maps, UserError):
            report(name, UserError(f"image {name}: {maps}"))
            continue
        for method, found in maps.items():
            box = box_of_map(found.map_hxw, threshold)
            stored = None if box is None else each.stored_pixels(box.tolist())
            explanations.append(Explanation(name, method, found.layer, found.target, found.score, found.map_hxw, stored, box, pixels))
    return explanations


def write_explanations(explanations: Sequence[Explanation], out: str | Path) -> Path:
    """Write a sheet (.png) of explanations with a row for each image and a column for each method, and return its path.

    The explanations are in the order of `explain`. Raises UserError where there are none.
    """
    if not explanations:
        raise UserError("a sheet needs at least one explanation")
    count = next((i for i, each in enumerate(explanations) if i and each.method == explanations[0].method), len(explanations))
    by_image = [explanations[start : start + count] for start in range(0, len(explanations), count)]
    rows = [
        SheetRow(
            found[0].pixels_hxwxc,
            f"{Path(found[0].name).name}: {found[0].target} {found[0].score:.3f}",
            [HeatMap(each.method, each.map_hxw, None if each.box_of_image is None else each.box_of_image.tolist()) for each in found],
        )
        for found in by_image
    ]
    write_sheet(rows, Path(out))
    return Path(out)


def _checked(options: Mapping[str, Mapping[str, Any]] | None, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    for name, values in (options or {}).items():
        if name not in names:
            raise UserError(f"options are given for method '{name}', which is not among the methods {', '.join(names)}")
        parameters = inspect.signature(declared("explanation.methods", name, Method).function).parameters.values()
        known = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
        for key in values:
            if key not in known:
                raise UserError(f"method '{name}' has no option '{key}'; possible: {', '.join(known) or 'none'}")
    return options or {}


def _raise(_: str, error: UserError) -> None:
    raise error


def _read(
    images: ImageLike | Sequence[ImageLike], trained: TrainedModel, frames: int, on_error: Callable[[str, UserError], None]
) -> Iterator[tuple[str, Uint8Array, Prepared]]:
    """The name, the upright pixels in color and the prepared input of each image."""
    several: Sequence[ImageLike]
    if isinstance(images, (str, Path, Image.Image)):
        several = [images]
    elif hasattr(images, "__array__"):
        array = np.asarray(images)
        several = list(array) if array.ndim == 4 else [array]
    else:
        several = list(images)
    for number, image in enumerate(several):
        try:
            in_folder: Sequence[ImageLike] = images_in(Path(image)) if isinstance(image, (str, Path)) and Path(image).is_dir() else [image]
        except UserError as error:  # there are none
            on_error(str(image), error)
            continue
        for each in in_folder:
            name = str(each) if isinstance(each, (str, Path)) else str(number)
            try:
                pictures = _pictures(each, name, frames)
            except UserError as error:
                on_error(name, error)
                continue
            yield from ((name, picture.pixels_hxwxc, prepare(picture, trained.spec)) for name, picture in pictures)


def _pictures(image: ImageLike, name: str, frames: int) -> list[tuple[str, Picture]]:
    """The image, or the frames of a video, with their names."""
    if isinstance(image, (str, Path)) and is_video(image):
        return [(f"{name}#{place}", as_picture(frame, 3)) for place, frame in read_frames(Path(image), frames)]
    return [(name, as_picture(image, 3))]
