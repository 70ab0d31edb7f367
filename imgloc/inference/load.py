"""A trained model, loaded from its bundle, on images of any kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict
from PIL import Image

from imgloc import boxes
from imgloc.config import build, saved
from imgloc.config.registry import declared
from imgloc.data.batches.collate import resize_example
from imgloc.data.images import decode
from imgloc.devices import mesh
from imgloc.errors import UserError, unknown
from imgloc.inference import bundle as bundles
from imgloc.inference import predict
from imgloc.inference.bundle import Bundle
from imgloc.interfaces import Task
from imgloc.nn.apply import compute_dtype
from imgloc.runs.run_dir import RunDir
from imgloc.types import Example, FloatArray, InputSpec, Row, Uint8Array

ImageLike = str | Path | Uint8Array | Image.Image
NOT_FINITE = "the output of the model contains NaN or infinity"
NO_PIXELS = np.zeros((0, 0, 1), np.uint8)
NO_BOXES, NO_LABELS = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)


class Loaded(NamedTuple):
    """A model ready for use.

    `predict` takes an image (a path, a Pillow image, or a uint8 array (h, w), (h, w, 1) or (h, w, 3)) and returns the task's answer,
    or takes a list of images and returns a list of answers.
    """

    predict: Callable[[ImageLike | Sequence[ImageLike]], Any]
    classes: tuple[str, ...]


class TrainedModel(NamedTuple):
    """A model with its variables on some devices, and everything that its predictions need."""

    bundle: Bundle
    config: ConfigDict
    task: Task
    model: nn.Module
    variables: Any
    devices: Mesh
    dtype: Any  # of the computation
    spec: InputSpec

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.config.model.name)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.bundle.classes


def find_bundle(path: Path, checkpoint: str) -> Path:
    """The bundle in a run folder (the `best` or the `last` one), or the folder itself where it is a bundle.

    Raises UserError where there is none.
    """
    if checkpoint not in ("best", "last"):
        raise unknown("checkpoint", checkpoint, ("best", "last"))
    if bundles.is_bundle(path):
        if checkpoint == "last":
            raise UserError(f"'{path}' is one model; --checkpoint last needs the folder of its run")
        return path
    run = RunDir(path)
    last = checkpoint == "last" and bundles.is_bundle(run.last_model)
    folder = run.last_model if last else run.model
    expected = run.read(run.finished).get(f"{checkpoint}_step") if run.finished.is_file() else None
    if bundles.is_bundle(folder):
        step = expected if expected is None else bundles.read_bundle(folder).step
        if step != expected:
            problem = f"the {checkpoint} model of '{path}' is that of step {expected}, but '{folder}' has step {step}"
            raise UserError(f"{problem}; remove the run folder and train again")
        return folder
    if run.finished.is_file():
        raise UserError(f"the trained model of '{path}', a finished run, is missing; remove that folder and train again")
    what = "has no trained model yet; possible: imgloc train" if run.config.is_file() else "is neither a run folder nor a trained model"
    raise UserError(f"'{path}' {what}")


def load_model(folder: Path, devices: Mesh, fields: dict[str, Any] | None = None) -> TrainedModel:
    """The trained model of a bundle on devices. `fields` replace fields of the model that change none of its variables."""
    bundle = bundles.read_bundle(folder)
    config = bundle.resolved
    spec = build.make_input_spec(config.data, bundle.input.channels)
    model = build.make_model(ConfigDict({**config.model, **(fields or {})}), len(bundle.classes))
    expected = predict.abstract_variables(model, spec.shape, config.model.name)
    variables = bundles.load_variables(folder, bundle, expected, devices)
    task = declared("tasks", bundle.task, Task)
    return TrainedModel(bundle, config, task, model, variables, devices, compute_dtype(config.train.dtype), spec)


def open_model(path: str | Path, *, checkpoint: str = "best") -> TrainedModel:
    """The trained model of a run folder or a bundle, on one device. Raises UserError where there is none."""
    one_device = mesh.make_mesh(jax.local_devices()[:1])
    return load_model(find_bundle(Path(path), checkpoint), one_device)


def load(path: str | Path, *, checkpoint: str = "best", batch_size: int = 32, allow_imports: Sequence[str] = ()) -> Loaded:
    """A predict function and the classes of a run folder or a bundle. Raises UserError if it has no trained model.

    `allow_imports` names modules outside imgloc that the saved config may import, such as a model of your own.
    """
    saved.allow_imports(*allow_imports)
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, got {batch_size}")
    trained = open_model(path, checkpoint=checkpoint)
    columns_of = column_predictor(trained)

    def predict_images(images: ImageLike | Sequence[ImageLike]) -> Any:
        if isinstance(images, (str, Path, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim != 4):
            return predict_images([images])[0]
        answers: list[Any] = []
        for start in range(0, len(images), batch_size):
            # One at a time: many large images may not fit into memory.
            prepared = [prepare(as_picture(image, trained.spec.shape[2]), trained.spec) for image in images[start : start + batch_size]]
            rows = columns_of(prepared, batch_size)
            for index, (row, each) in enumerate(zip(rows, prepared, strict=True), start):
                if row is None:
                    raise UserError(f"image {index}: {NOT_FINITE}")
                answers.append(trained.task.answer(row, trained.classes, each.stored_pixels))
        return answers

    return Loaded(predict_images, trained.classes)


class Prepared(NamedTuple):
    """An image at the size of the model's input, and the way back to the file."""

    input_hxwxc: Uint8Array
    content_4: FloatArray  # the part of the input that shows the image
    size: tuple[int, int]  # width and height of the image before it was resized
    picture: decode.Picture  # without its pixels

    def stored_pixels(self, box: Sequence[float]) -> tuple[float, ...]:
        """A box xyxy in [0, 1] of the image in pixels of the file as it is stored."""
        return tuple(self.picture.stored_box(boxes.to_pixels(np.asarray(box, np.float64), *self.size)).tolist())

    def upright_pixels(self, box: Sequence[float]) -> tuple[float, ...]:
        """A box xyxy in [0, 1] of the image in pixels of the file as viewers show it."""
        return tuple(self.picture.upright_box(boxes.to_pixels(np.asarray(box, np.float64), *self.size)).tolist())


def prepare(picture: decode.Picture, spec: InputSpec) -> Prepared:
    """An image for the model; its own pixels are not kept."""
    pixels = picture.pixels_hxwxc
    seen, content_4 = resize_example(Example(pixels, NO_BOXES, NO_LABELS, 0, "", ""), spec)
    return Prepared(seen.image_hxwxc, content_4, pixels.shape[1::-1], dataclasses.replace(picture, pixels_hxwxc=NO_PIXELS))


def column_predictor(trained: TrainedModel) -> Callable[[Sequence[Prepared], int], list[Row | None]]:
    """A function of at most `batch_size` images, and that size, which returns the prediction columns of each.

    An image for which the output of the model contains NaN or infinity has None.
    """
    compiled = predict.compiled_predict(trained.model, trained.task, trained.devices, trained.dtype)

    def columns(prepared: Sequence[Prepared], batch_size: int) -> list[Row | None]:
        # Padded to a power of two: each batch size compiles once, and a single image does not cost as much as many.
        padded = min(batch_size, 1 << (len(prepared) - 1).bit_length())
        images_bxhxwxc = np.zeros((padded, *trained.spec.shape), np.uint8)
        images_bxhxwxc[: len(prepared)] = [each.input_hxwxc for each in prepared]
        outputs = {name: value[: len(prepared)] for name, value in jax.device_get(compiled(trained.variables, images_bxhxwxc)).items()}
        finite = [all(np.isfinite(value[i]).all() for value in outputs.values()) for i in range(len(prepared))]
        with np.errstate(invalid="ignore"):  # of those that are not finite
            predictions = trained.task.postprocess(outputs, np.stack([each.content_4 for each in prepared]))
        return [trained.task.prediction_columns(predictions, i) if finite[i] else None for i in range(len(prepared))]

    return columns


def as_picture(image: ImageLike, channels: int) -> decode.Picture:
    """A path, a Pillow image or a uint8 array (h, w) or (h, w, 1 or 3) with a number of channels."""
    if isinstance(image, (str, Path)):
        return decode.read_picture(Path(image), channels=channels)
    if isinstance(image, Image.Image):
        pixels = decode.to_array(image, channels=channels)
    else:
        array = np.asarray(image)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)) or not array.size:
            possible = "a path, a Pillow image or a uint8 array (h, w), (h, w, 1) or (h, w, 3)"
            raise UserError(f"an image is {possible}; got {array.dtype} {array.shape}")
        pixels = decode.with_channels(array if array.ndim == 3 else array[..., None], channels)
    return decode.Picture(pixels, width=pixels.shape[1], height=pixels.shape[0])
