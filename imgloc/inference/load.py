"""A trained model, loaded from its bundle, on images of any kind."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict
from PIL import Image

from imgloc import boxes
from imgloc.config import build, saved
from imgloc.config.registry import declared, names
from imgloc.data.annotated.listing import list_folder
from imgloc.data.batches.collate import resize_example
from imgloc.data.images.picture import Picture
from imgloc.devices import mesh
from imgloc.errors import UserError, as_names, unknown
from imgloc.inference import bundle as bundles
from imgloc.inference import predict
from imgloc.inference.bundle import Bundle
from imgloc.inference.predictions import ImageLike, Prediction, Predictions, as_picture
from imgloc.inference.published import is_published, published_bundle
from imgloc.interfaces import Task
from imgloc.nn.apply import compute_dtype
from imgloc.nn.preprocess import AnyModel, with_steps
from imgloc.runs.run_dir import RunDir
from imgloc.types import Example, FloatArray, InputSpec, Row, Uint8Array

NOT_A_MODEL = "is neither a run folder nor a trained model; expected a folder that imgloc train has written, or its folder model"
NOT_FINITE = "the output of the model contains NaN or infinity"
NO_PIXELS = np.zeros((0, 0, 1), np.uint8)
NO_BOXES, NO_LABELS = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model: its linen module with its variables, and everything that its predictions need.

    `module.apply(variables, images, train=False)` returns the outputs for images (b, h, w, c) in [0, 1] of the size `spec.shape`.
    """

    bundle: Bundle = field(repr=False)
    config: ConfigDict = field(repr=False)  # of the run that trained it
    task: Task = field(repr=False)  # with the calibration of the model
    module: AnyModel
    variables: Any = field(repr=False)
    devices: Mesh = field(repr=False)
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

    @functools.cached_property
    def columns(self) -> Callable[[Sequence[Prepared], int], list[Row | None]]:
        """A compiled function of prepared images; see `column_predictor`."""
        return column_predictor(self)

    def predict(self, images: ImageLike | Sequence[ImageLike], *, batch_size: int = 32, skip_errors: bool = False) -> Predictions:
        """Predict one image, several images, or all images in a folder and below it.

        An image is a path, a Pillow image, or a uint8 array (h, w), (h, w, 1) or (h, w, 3); an array (b, h, w, c) is several images.
        Returns the predictions in order, also for one image. `batch_size` images are predicted together. Raises UserError for an
        image that cannot be read, and for one for which the output of the model contains NaN or infinity; with `skip_errors` such an
        image is left out with a warning.
        """
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        several: Sequence[ImageLike]
        if isinstance(images, (str, Path)):
            several = images_in(Path(images)) if Path(images).is_dir() else [images]
        elif isinstance(images, Image.Image):
            several = [images]
        elif hasattr(images, "__array__"):  # an array of NumPy, JAX or another library
            array = np.asarray(images)
            several = list(array) if array.ndim == 4 else [array]
        else:
            several = list(images)
        return predict_images(self, several, batch_size, skip_errors=skip_errors)


def find_bundle(path: Path, checkpoint: str) -> Path:
    """The bundle in a run folder (the `best` or the `last` one), or the folder itself where it is a bundle.

    Raises UserError where there is none.
    """
    if checkpoint not in ("best", "last"):
        raise unknown("checkpoint", checkpoint, ("best", "last"))
    if bundles.is_bundle(path):
        if checkpoint == "last":
            raise UserError(f"'{path}' is a trained model; --checkpoint last requires its run folder")
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
    if not path.exists():
        published = f"published weights ({', '.join(names('pretrained'))})"
        raise UserError(f"there is no folder '{path}'; expected a folder that imgloc train has written, its folder model, or {published}")
    what = "has no trained model yet; run imgloc train" if run.config.is_file() else NOT_A_MODEL
    raise UserError(f"'{path}' {what}")


def load_model(folder: Path, devices: Mesh, fields: dict[str, Any] | None = None) -> TrainedModel:
    """The trained model of a bundle on devices. `fields` replace fields of the model that change none of its variables."""
    bundle = bundles.read_bundle(folder)
    return _assembled(bundle, devices, lambda expected: bundles.load_variables(folder, bundle, expected, devices), fields or {})


def _assembled(bundle: Bundle, devices: Mesh, load_variables: Callable[[Any], Any], fields: Mapping[str, Any]) -> TrainedModel:
    """The trained model of a bundle; `load_variables` returns the variables for their shapes and dtypes."""
    config = bundle.resolved
    spec = build.make_input_spec(config.data, bundle.input.channels)
    module = with_steps(
        build.make_model(ConfigDict({**config.model, **fields}), len(bundle.classes)), build.make_steps(config.data.preprocess)
    )
    variables = load_variables(predict.abstract_variables(module, spec.shape, config.model.name))
    task = declared("tasks", bundle.task, Task)
    task = dataclasses.replace(task, calibration={**task.calibration, **bundle.calibration})
    return TrainedModel(bundle, config, task, module, variables, devices, compute_dtype(config.train.dtype), spec)


def open_model(path: str | Path, *, checkpoint: str = "best") -> TrainedModel:
    """The trained model of a run folder or a bundle, or of published weights, on one device. Raises UserError where there is none."""
    one_device = mesh.make_mesh(jax.local_devices()[:1])
    if is_published(path):
        bundle, load_variables = published_bundle(str(path), one_device)
        return _assembled(bundle, one_device, load_variables, {})
    return load_model(find_bundle(Path(path), checkpoint), one_device)


def load(path: str | Path, *, checkpoint: str = "best", allow_imports: Sequence[str] = ()) -> TrainedModel:
    """Load a trained model from a run folder, from a bundle: `RUN/model` or a copy of it, or from published weights.

    Published weights are `NAME`, such as `efficientnet_lite0`, `NAME:FILE` or `NAME:hf://OWNER/REPOSITORY`; a folder NAME takes precedence.

    `checkpoint` is `best` (on validation) or `last`; `allow_imports` names the modules outside imgloc that the saved config may import,
    such as a model of your own. Raises UserError for a path without a trained model.
    """
    saved.allow_imports(*as_names(allow_imports))
    return open_model(path, checkpoint=checkpoint)


def with_score_threshold(trained: TrainedModel, score: float) -> TrainedModel:
    """The model with another lowest score of its objects. Raises UserError for one outside [0, 1], and for a task without a threshold."""
    if "score_threshold" not in trained.task.calibration:
        raise UserError(f"--score requires a task with a score threshold, such as 'detect'; task '{trained.bundle.task}' has none")
    if not 0 <= score <= 1:
        raise UserError(f"--score must be from 0 to 1, got {score}")
    calibration = {**trained.task.calibration, "score_threshold": score}
    return dataclasses.replace(trained, task=dataclasses.replace(trained.task, calibration=calibration))


def images_in(folder: Path) -> list[str]:
    """Return the paths of the images in a folder and below it, sorted. Raises UserError where there are none."""
    images = [str(folder / name) for name in list_folder(folder).images]
    if not images:
        raise UserError(f"no images in the folder '{folder}'; expected image files, or folders with some")
    return images


def predict_images(trained: TrainedModel, images: Sequence[ImageLike], batch_size: int, *, skip_errors: bool) -> Predictions:
    """Predict images of any kind; see `TrainedModel.predict`."""
    predicted: list[Prediction] = []
    for start in range(0, len(images), batch_size):
        batch: list[tuple[str, ImageLike, Prepared]] = []
        for number, image in enumerate(images[start : start + batch_size], start):  # one at a time: large ones may not fit into memory
            name = str(image) if isinstance(image, (str, Path)) else str(number)
            try:
                batch.append((name, image, prepare(as_picture(image, trained.spec.shape[2]), trained.spec)))
            except UserError as error:
                _raise_or_warn(error if name == str(image) else UserError(f"image {name}: {error}"), skip_errors)
        rows = trained.columns([prepared for _, _, prepared in batch], batch_size) if batch else []
        for (name, image, prepared), row in zip(batch, rows, strict=True):
            if row is None:
                _raise_or_warn(UserError(f"image {name}: {NOT_FINITE}"), skip_errors)
                continue
            answer = trained.task.answer(row, trained.classes, prepared.stored_pixels)
            predicted.append(Prediction(name, answer, row, *prepared.picture.upright_size, image, trained.classes, trained.task))
    return Predictions(tuple(predicted), trained.classes, trained.bundle.task, trained.task)


def _raise_or_warn(error: UserError, skip: bool) -> None:
    if not skip:
        raise error
    warnings.warn(str(error), stacklevel=4)


class Prepared(NamedTuple):
    """An image at the size of the model's input, and the way back to the file."""

    input_hxwxc: Uint8Array
    content_4: FloatArray  # the part of the input that shows the image
    size: tuple[int, int]  # width and height of the image before it was resized
    picture: Picture  # without its pixels

    def stored_pixels(self, box: Sequence[float]) -> tuple[float, ...]:
        """A box xyxy in [0, 1] of the image in pixels of the file as it is stored."""
        return tuple(self.picture.stored_box(boxes.to_pixels(np.asarray(box, np.float64), *self.size)).tolist())

    def upright_pixels(self, box: Sequence[float]) -> tuple[float, ...]:
        """A box xyxy in [0, 1] of the image in pixels of the file as viewers show it."""
        return tuple(self.picture.upright_box(boxes.to_pixels(np.asarray(box, np.float64), *self.size)).tolist())


def prepare(picture: Picture, spec: InputSpec) -> Prepared:
    """An image for the model; its own pixels are not kept."""
    pixels = picture.pixels_hxwxc
    seen, content_4 = resize_example(Example(pixels, NO_BOXES, NO_LABELS, 0, "", ""), spec)
    return Prepared(seen.image_hxwxc, content_4, pixels.shape[1::-1], dataclasses.replace(picture, pixels_hxwxc=NO_PIXELS))


def column_predictor(trained: TrainedModel) -> Callable[[Sequence[Prepared], int], list[Row | None]]:
    """A function of at most `batch_size` images, and that size, which returns the prediction columns of each.

    An image for which the output of the model contains NaN or infinity has None.
    """
    compiled = predict.compiled_predict(trained.module, trained.task, trained.devices, trained.dtype)

    def columns(prepared: Sequence[Prepared], batch_size: int) -> list[Row | None]:
        # Padded to a power of two: each batch size compiles once, and a single image does not cost as much as many.
        padded = min(batch_size, 1 << (len(prepared) - 1).bit_length())
        images_bxhxwxc = np.zeros((padded, *trained.spec.shape), np.uint8)
        images_bxhxwxc[: len(prepared)] = [each.input_hxwxc for each in prepared]
        outputs = {name: value[: len(prepared)] for name, value in jax.device_get(compiled(trained.variables, images_bxhxwxc)).items()}
        finite = [all(np.isfinite(value[i]).all() for value in outputs.values()) for i in range(len(prepared))]
        with np.errstate(invalid="ignore"):  # of those that are not finite
            predictions = trained.task.postprocess(outputs, np.stack([each.content_4 for each in prepared]))
        task = trained.task

        def row(i: int) -> Row:
            return task.with_calibration(task.prediction_columns(predictions, i), task.calibration)

        return [row(i) if finite[i] else None for i in range(len(prepared))]

    return columns
