"""Checks that the outputs of a model have the names and shapes that a task or a loss needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgloc.errors import UserError
from imgloc.interfaces import AxisNames, Task
from imgloc.types import DICT_OUTPUTS, MAX_MOMENTS


def check_outputs(task: Task, task_name: str, outputs: Mapping[str, Any], model: str, size: int, classes: int) -> None:
    """Raises UserError for outputs (shapes suffice) of a batch of `size` that are not what the task needs, or no arrays (b, ...)."""
    missing = [name for name in task.outputs if name not in outputs]
    if missing:
        raise UserError(f"task '{task_name}' needs the output '{missing[0]}'; model '{model}' gives {', '.join(outputs)}")
    axes: dict[str, int] = {"b": size, "k": classes}
    known = {**task.optional_outputs, **task.outputs}
    for name, value in outputs.items():
        if name not in DICT_OUTPUTS:
            _check_array(name, value, known.get(name, ("b", ...)), axes, model)
    if "partial_predictions" in outputs:
        _check_partial_predictions(task, outputs, model, axes)


def _check_partial_predictions(task: Task, outputs: Mapping[str, Any], model: str, axes: dict[str, int]) -> None:
    """Every output of the task has its partial predictions, with an axis s of moments after b; so may the others."""
    partial = outputs["partial_predictions"]
    own = [name for name in outputs if name not in DICT_OUTPUTS]
    needed = [*task.outputs, "seen"]
    if not isinstance(partial, Mapping) or not set(needed) <= set(partial) <= {*own, "seen"}:
        got = ", ".join(partial) if isinstance(partial, Mapping) else type(partial).__name__
        raise UserError(f"output 'partial_predictions' of model '{model}' has {got}; expected a dict with {', '.join(needed)}")
    axes = {**axes}
    known = {**task.optional_outputs, **task.outputs}
    for name, value in partial.items():
        # A fixation is one window of the moment; every other output has its own axes after that of the moments.
        rest: tuple[Any, ...] = known.get(name, ("b", ...))[2 if name in task.optional_outputs else 1 :]
        shape = ("b", "s", "grid height", "grid width") if name == "seen" else ("b", "s", *rest)
        _check_array(f"partial_predictions/{name}", value, shape, axes, model)
        if value.dtype.kind == "c":
            raise UserError(f"output 'partial_predictions/{name}' of model '{model}' is complex, expected real numbers")
    if axes["s"] > MAX_MOMENTS:
        raise UserError(f"output 'partial_predictions' of model '{model}' has {axes['s']} moments; possible: 1 to {MAX_MOMENTS}")


def _check_array(name: str, value: Any, shape: tuple[Any, ...], axes: dict[str, int], model: str) -> None:
    """Raises UserError for what is no array of a shape; letters that `axes` does not know yet are added to it."""
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
