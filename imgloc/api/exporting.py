"""Export of a trained model to a file that other programs run, as `imgloc export` does it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from imgloc import files
from imgloc.config import saved
from imgloc.deployment import exported as deployment
from imgloc.deployment.exported import Description, ExportedModel, ModelFormat
from imgloc.deployment.int8 import MODES
from imgloc.errors import UserError, as_names, look_up
from imgloc.evaluation.exported import Comparison, calibration_batches, compare_exported
from imgloc.evaluation.target import Target, open_target
from imgloc.inference.load import TrainedModel, open_model
from imgloc.inference.published import is_published
from imgloc.nn.apply import reads_videos
from imgloc.runs.run_dir import RunDir

CALIBRATION_BATCH = 32


@dataclass(frozen=True, eq=False)
class ExportResults:
    """The file that was written, its description, and its scores on validation beside those of the model."""

    path: Path
    bytes: int
    description: Description = field(repr=False)
    comparison: Comparison | None = field(repr=False)  # None where it was not compared


def export(
    model: str | Path, to: str = "onnx", *, out: str | Path | None = None, int8: str = "", batch: int | None = None,
    tolerance: float | None = None, compare: bool = True, checkpoint: str = "best", allow_imports: Sequence[str] = (),
) -> ExportResults:  # fmt: skip
    """Write a trained model as a file that runs without imgloc, and compare it with the model on the validation split.

    `model` is a run folder, a bundle or published weights, `to` the name of a format: stablehlo, onnx or iree. `int8` is static or
    dynamic, for onnx. `batch` is the number of images that the file takes at a time, 0 for any number; by default that of the format.
    The file is `out`, by default RUN/deployment/model with the suffix of the format. FILE.json describes it, and
    `locate_exported.py` beside it locates objects with it.

    Raises UserError where the headline metric on validation falls by more than `tolerance`, by default below its interval; for a
    tracker, and a model that the format cannot hold; where the file or `locate_exported.py` would replace a file of others; and where
    a package that the format needs is not installed.
    """
    saved.allow_imports(*as_names(allow_imports))
    form = deployment.format_of(to)
    if int8:
        look_up("quantization (--int8)", int8, dict.fromkeys(MODES))
        if form.quantize is None:
            raise UserError(f"format '{to}' cannot be quantized here; --int8 is for --to onnx")
    size = form.default_batch if batch is None else batch
    if size < 0 or (size == 0 and not form.any_batch):
        possible = "at least 1, or dynamic" if form.any_batch else "at least 1: a file of this format takes a fixed number of images"
        raise UserError(f"--batch is {size or 'dynamic'}; possible: {possible}")
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise UserError(f"--tolerance is {tolerance}; expected a finite number of at least 0, in units of the metric")
    path = _path(Path(model), form, int8, None if out is None else Path(out))
    trained = open_model(model, checkpoint=checkpoint)
    if reads_videos(trained.module):
        raise UserError(f"model '{trained.name}' reads videos; imgloc export supports models of images; use imgloc track")
    compare = compare and not is_published(model)  # published weights have no validation split
    target = _validation(trained, Path(model)) if compare or int8 == "static" else None
    written = form.write(deployment.exported_function(trained), deployment.images_spec(trained, size))
    if int8:
        assert form.quantize is not None
        batches = calibration_batches(target.source, trained, size or CALIBRATION_BATCH) if int8 == "static" and target else []
        written = msgspec.structs.replace(written, content=form.quantize(written.content, int8, batches))
    description = deployment.describe(trained, to, written, size, int8)
    comparison = None
    if compare and target is not None:
        run = deployment.opened(written.content, description, path, allow_native_code=True)  # it was compiled here
        comparison = compare_exported(trained, ExportedModel(path, description, run), target)
        comparison.check(tolerance)
    deployment.save(path, written.content, description)
    files.write_bytes(path.with_name(deployment.RUNNER.name), deployment.RUNNER.read_bytes())
    return ExportResults(path, len(written.content), description, comparison)


def _validation(trained: TrainedModel, model: Path) -> Target:
    """The validation split of the data that the model was trained on."""
    run = RunDir(model)
    return open_target(trained.config, "validation", run=run if run.config.is_file() else None)


def _path(model: Path, form: ModelFormat, int8: str, out: Path | None) -> Path:
    """The path of the file. Raises UserError where it would replace a file that is not an exported model, or cannot be written."""
    if out is None:
        if not RunDir(model).config.is_file():
            raise UserError(f"'{model}' is not a run folder, so the file needs a path; add --out FILE{form.suffix}")
        out = model / "deployment" / f"model{'-int8-' + int8 if int8 else ''}{form.suffix}"
    elif not out.exists():
        _check_runner(out.with_name(deployment.RUNNER.name))
    if out.suffix != form.suffix:
        raise UserError(f"--out '{out}' must end with {form.suffix}")
    if out.is_dir() or (out.exists() and not deployment.described_by(out).is_file()):
        raise UserError(f"--out would overwrite '{out}', which imgloc export did not write; choose another path")
    files.check_writable(out.parent)
    return out


def _check_runner(path: Path) -> None:
    """Raises UserError where the program that is written beside the file would replace another file of that name."""
    if path.is_file() and path.read_bytes() != deployment.RUNNER.read_bytes():
        raise UserError(f"'{path}' differs from the program that imgloc export writes there; rename it, or choose another folder for --out")
