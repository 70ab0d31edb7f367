"""An exported model: one file, and its description in JSON beside it, `FILE.json`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np

from imgloc import files
from imgloc.config.registry import declared, names
from imgloc.deployment.locate_exported import FORMAT, NATIVE, ModelError, in_batches, read_model
from imgloc.errors import UserError, one_line
from imgloc.inference.load import TrainedModel
from imgloc.types import Batch, Outputs, Predict, Uint8Array

Function = Callable[[Any], Mapping[str, Any]]  # uint8 images -> outputs, traced by JAX
Run = Callable[[np.ndarray], dict[str, np.ndarray]]
RUNNER = Path(__file__).with_name("locate_exported.py")
BOXES = "x0, y0, x1, y1 in [0, 1] of the input's width and height; edges are continuous, so that (0, 0, 1, 1) is the whole input"
ENCODING = "uint8, 0 to 255, red green blue or grey; the model scales them itself"


class ImageInput(msgspec.Struct, frozen=True):
    """The images that an exported model takes: an array (b, h, w, c)."""

    name: str
    height: int
    width: int
    channels: int
    resize: str  # stretch or letterbox (black around the image), or crop
    encoding: str = ENCODING


class Description(msgspec.Struct, frozen=True):
    """What FILE.json holds."""

    format: int
    imgloc: str
    kind: str  # a file of imgloc/deployment/formats
    sha256: str  # of the file
    model: str
    task: str
    classes: tuple[str, ...]
    input: ImageInput
    batch: int  # images that the file takes at a time; 0: any number
    outputs: dict[str, list[Any]]  # names and axes; b is the batch
    calibration: dict[str, float]  # of the task, such as a score threshold
    bundle: str  # the fingerprint of the trained model
    step: int
    boxes: str = BOXES
    int8: str = ""  # how it is quantized: static, dynamic, or not at all
    details: dict[str, Any] = {}  # of the format, such as the opset


class Written(msgspec.Struct, frozen=True):
    """What a format writes: the content of a file, and what its description adds."""

    content: bytes
    details: dict[str, Any] = {}


@dataclass(frozen=True)
class ModelFormat:
    """A file format of models (`FORMAT`), one file of `imgloc/deployment/formats`."""

    suffix: str  # of the file
    write: Callable[[Function, Any], Written]  # of the function, and the shape and dtype of its images
    open: Callable[[bytes, Description], Run]  # raises UserError or ModelError for a content that cannot be used
    extra: str = ""  # of pyproject.toml, where it needs more than imgloc does
    modules: tuple[str, ...] = ()  # that the extra installs
    default_batch: int = 0  # 0: any number of images
    any_batch: bool = True  # whether a file can take any number of images
    quantize: Callable[[bytes, str, Sequence[Uint8Array]], bytes] | None = None  # (content, static or dynamic, batches to calibrate with)
    native_code: bool = False  # whether opening a file executes it


def format_of(name: str) -> ModelFormat:
    """Returns the format with a name. Raises UserError for an unknown name, and if a module that the format requires is missing."""
    form = declared("deployment.formats", name, ModelFormat)
    missing = [module for module in form.modules if not _is_installed(module)]
    if missing:
        raise UserError(f"format '{name}' needs the module '{missing[0]}', which is not installed; pip install 'imgloc[{form.extra}]'")
    return form


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package in which it is
        return False


def exported_function(trained: TrainedModel) -> Function:
    """The function that is exported: from uint8 images to the outputs that the task uses."""
    from imgloc.nn.apply import predict_step

    used = {**trained.task.outputs, **trained.task.optional_outputs}
    variables = jax.device_get(trained.variables)

    def function(images: Any) -> Mapping[str, Any]:
        outputs = predict_step(variables, images, model=trained.module, dtype=trained.dtype)
        return {name: value for name, value in outputs.items() if name in used}

    return function


def images_spec(trained: TrainedModel, batch: int) -> jax.ShapeDtypeStruct:
    """The shape and dtype of the images of a batch; 0 stands for a batch of any size."""
    first = batch or jax.export.symbolic_shape("b")[0]
    return jax.ShapeDtypeStruct((first, *trained.spec.shape), np.uint8)


def describe(trained: TrainedModel, kind: str, written: Written, batch: int, int8: str) -> Description:
    """The description of a model that a format has written."""
    height, width, channels = trained.spec.shape
    shapes = jax.eval_shape(exported_function(trained), images_spec(trained, 0))
    return Description(
        format=FORMAT, imgloc=importlib.metadata.version("imgloc"), kind=kind, sha256=hashlib.sha256(written.content).hexdigest(),
        model=trained.name, task=trained.bundle.task, classes=trained.classes, batch=batch, int8=int8, details=dict(written.details),
        input=ImageInput("images", height, width, channels, trained.spec.resize),
        outputs={name: [size if isinstance(size, int) else str(size) for size in aval.shape] for name, aval in shapes.items()},
        calibration=dict(trained.task.calibration), bundle=trained.bundle.fingerprint, step=trained.bundle.step,
    )  # fmt: skip


def save(path: Path, content: bytes, description: Description) -> None:
    """Write a model and its description. The description is written last: after a crash the two do not match, and are refused."""
    files.write_bytes(path, content)
    files.write_bytes(described_by(path), msgspec.json.format(msgspec.json.encode(description), indent=2) + b"\n")


def described_by(path: Path) -> Path:
    """The path of the description of a model file."""
    return path.with_name(f"{path.name}.json")


@dataclass(frozen=True)
class ExportedModel:
    """An exported model that runs."""

    path: Path
    description: Description
    run: Run  # uint8 images (b, h, w, c), any number of them -> outputs

    def predict(self) -> Predict:
        """The model as a predictor of batches."""

        def predict(batch: Batch) -> Outputs:
            outputs: Outputs = self.run(np.asarray(batch.images_bxhxwxc))
            return outputs

        return predict


def open_exported(path: Path, *, allow_native_code: bool = False) -> ExportedModel:
    """The exported model of a file. Raises UserError for a file that is damaged, or does not match its description."""
    try:
        content, values = read_model(path)
        description = msgspec.convert(values, Description)
        return ExportedModel(path, description, opened(content, description, path, allow_native_code=allow_native_code))
    except ModelError as error:
        raise UserError(str(error)) from error
    except msgspec.ValidationError as error:
        raise UserError(f"'{described_by(path)}' is not the description of a model: {one_line(error)}; export the model again") from error


def opened(content: bytes, description: Description, path: Path, *, allow_native_code: bool) -> Run:
    """A function that runs the content of a model file."""
    if description.kind not in names("deployment.formats"):
        raise UserError(f"'{path}' is of the unknown format '{description.kind}'; possible: {', '.join(names('deployment.formats'))}")
    form = format_of(description.kind)
    if form.native_code and not allow_native_code:
        raise UserError(f"'{path}' {NATIVE}")
    return in_batches(form.open(content, description), description.batch)
