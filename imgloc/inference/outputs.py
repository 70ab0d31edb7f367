"""Checks that the outputs of a model have the names and shapes that a task or a loss needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from imgloc.errors import UserError
from imgloc.interfaces import AxisNames, Task
from imgloc.types import DICT_OUTPUTS, MAX_PARTIAL_STEPS


def check_outputs(task: Task, task_name: str, outputs: Mapping[str, Any], model: str, size: int, classes: int) -> None:
    """Raises UserError for outputs (shapes suffice) of a batch of `size` that the task cannot use, or that are not arrays (b, ...)."""
    missing = [name for name in task.outputs if name not in outputs]
    if missing:
        problem = f"task '{task_name}' needs the output '{missing[0]}'; model '{model}' returns {', '.join(outputs)}"
        raise UserError(f"{problem}; choose another task or model, or set the field of the model that adds this output")
    axes: dict[str, int] = {"b": size, "k": classes}
    known = {**task.optional_outputs, **task.outputs}
    for name, value in outputs.items():
        if name not in DICT_OUTPUTS:
            _check_array(name, value, known.get(name, ("b", ...)), axes, model)
    if "partial_predictions" in outputs:
        _check_partial_predictions(task, outputs, model, axes)


def _check_partial_predictions(task: Task, outputs: Mapping[str, Any], model: str, axes: dict[str, int]) -> None:
    """Every output of the task has partial predictions, with an axis s of steps after b; other outputs may have some."""
    partial = outputs["partial_predictions"]
    own = [name for name in outputs if name not in DICT_OUTPUTS]
    shown = () if "boxes" in task.outputs else ("logits",)  # the report shows detected objects, or the probabilities of classes
    needed = [*dict.fromkeys((*shown, *task.outputs)), "seen"]
    if not isinstance(partial, Mapping) or not set(needed) <= set(partial) <= {*own, "seen"}:
        got = ", ".join(partial) if isinstance(partial, Mapping) else type(partial).__name__
        raise UserError(f"output 'partial_predictions' of model '{model}' has {got}; expected a dict with {', '.join(needed)}")
    axes = {**axes}
    known = {**task.optional_outputs, **task.outputs}
    for name, value in partial.items():
        rest: tuple[Any, ...] = known.get(name, ("b", ...))[1:]
        shape = ("b", "s", "grid height", "grid width") if name == "seen" else task.partial_outputs.get(name, ("b", "s", *rest))
        _check_array(f"partial_predictions/{name}", value, shape, axes, model)
        if value.dtype.kind == "c":
            raise UserError(f"output 'partial_predictions/{name}' of model '{model}' is complex, expected real numbers")
    if axes["s"] > MAX_PARTIAL_STEPS:
        raise UserError(f"output 'partial_predictions' of model '{model}' has {axes['s']} steps, expected 1 to {MAX_PARTIAL_STEPS}")


def _check_array(name: str, value: Any, shape: tuple[Any, ...], axes: dict[str, int], model: str) -> None:
    """Raises UserError for a value that is not an array of this shape; letters that `axes` does not know yet are added to it."""
    got = getattr(value, "shape", None)
    if got is None or not fits(got, shape, axes):
        actual = type(value).__name__ if got is None else f"shape {got}"
        shown = ", ".join("..." if axis is ... else str(axes.get(axis, axis)) for axis in shape)
        raise UserError(f"output '{name}' of model '{model}' has {actual}, expected an array of shape ({shown}) for a batch of {axes['b']}")


def fits(shape: tuple[int, ...], expected: AxisNames | tuple[Any, ...], axes: dict[str, int]) -> bool:
    """Whether a shape has the expected axes; letters that `axes` does not know yet are added to it. `...` is any rest."""
    if expected[-1] is ...:
        shape, expected = shape[: len(expected) - 1], expected[:-1]
    if len(shape) != len(expected):
        return False
    sizes = [axes.setdefault(axis, size) if isinstance(axis, str) else axis for size, axis in zip(shape, expected, strict=True)]
    return list(shape) == sizes and 0 not in shape


def check_has_partial_predictions(outputs: Collection[str], model: str) -> None:
    """Raises UserError if the names of the outputs of a model do not include `partial_predictions`."""
    if "partial_predictions" not in outputs:
        possible = "a model that reads an image in several steps; see docs/attention.md"
        raise UserError(f"model '{model}' has no output 'partial_predictions'; possible: {possible}")
