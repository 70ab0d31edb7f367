"""The works that are timed, and the implementations and settings to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from imgloc.errors import UserError, unknown


@dataclass(frozen=True)
class Work:
    """A model and a batch that are timed: whole training steps with Adam if `train`, else the forward pass."""

    name: str
    model: str  # a name that benchmarks.models, torch_models and keras_models know
    size: int  # pixels per side; for the LSTM, the number of rows and of pixels in each
    channels: int
    classes: int
    batch: int
    train: bool
    accelerator_only: bool = False  # too slow to time on a CPU
    steps_per_call: int = 1  # steps in one compiled call of imgloc, as in its training loop; times are per step
    cell: str = ""  # of a recurrence: a file of imgloc/nn/cells
    form: str = ""  # of the cell, where it has several
    units: int = 0
    order: str = ""  # the image as a sequence: rows, pixels, or maps (its channels)


THREE_LAYER_CNN = Work("three_layer_cnn_224", "three_layer_cnn", 224, 3, 1000, 32, train=True)
DIGITS = Work("digits_cnn_64", "digits_cnn", 64, 1, 10, 64, train=True)
RESNET18 = Work("resnet18_64", "resnet18", 64, 3, 1000, 32, train=True)
LSTM = Work("lstm_28", "lstm", 28, 1, 10, 64, train=True, steps_per_call=10)  # a step takes 2 ms: the time of a dispatch matters
LITE0 = Work("efficientnet_lite0_224", "efficientnet_lite0", 224, 3, 1000, 1, train=False)
GLIMPSES = {"ram_mnist": {"glimpses": 6, "size": 8, "scales": 1}, "ram_cluttered": {"glimpses": 6, "size": 12, "scales": 3}}
# EfficientNet-Lite0 (TensorFlow's release of 2020): repeats, kernel, stride of the first block, expansion, features.
LITE0_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
RESNETS = {"resnet18": (False, (2, 2, 2, 2)), "resnet50": (True, (3, 4, 6, 3))}  # are blocks bottlenecks; blocks of each stage
RAM_MNIST = Work("ram_mnist", "ram_mnist", 28, 1, 10, 128, train=True, steps_per_call=10)
RAM_CLUTTERED = Work("ram_cluttered", "ram_cluttered", 60, 1, 10, 128, train=True, steps_per_call=10)
RESNET50 = Work("resnet50_224", "resnet50", 224, 3, 1000, 128, train=True, accelerator_only=True)


def _forward(work: Work, batch: int) -> Work:
    return replace(work, name=f"{work.name}_b{batch}", batch=batch, train=False, steps_per_call=1)


STEP = (THREE_LAYER_CNN, DIGITS, RESNET18, LSTM, RAM_MNIST, RAM_CLUTTERED, _forward(LITE0, 1), _forward(LITE0, 8), RESNET50)
INFER = tuple(_forward(work, batch) for work in (THREE_LAYER_CNN, DIGITS, RESNET18, LSTM, LITE0, RESNET50) for batch in (1, 8))


def _recurrence(cell: str, order: str, form: str = "") -> Work:
    size, channels, units, steps_per_call = {"rows": (28, 1, 128, 10), "pixels": (28, 1, 100, 1), "maps": (14, 8, 16, 1)}[order]
    return Work(
        f"{cell}_{form}_{order}" if form else f"{cell}_{order}", "recurrence", size, channels, 10, 64, train=True,
        steps_per_call=steps_per_call, cell=cell, form=form, units=units, order=order,
    )  # fmt: skip


VECTOR_CELLS = ("elman", "irnn", "lstm", "gru", "minimal_gru", "lru")
CELLS = (
    *(_recurrence(cell, order) for order in ("rows", "pixels") for cell in VECTOR_CELLS),
    _recurrence("lru", "pixels", "associative"),
    _recurrence("conv_lstm", "maps"),
)
WORKS = {"step": STEP, "infer": INFER, "cells": CELLS}

#: Cell -> libraries that do not have it.
LIBRARIES_WITHOUT_CELL = {"lru": ("linen", "torch", "keras"), "minimal_gru": ("torch", "keras"), "conv_lstm": ("torch",)}
NO_SUCH_CELL, NO_SUCH_MODEL = "has no such cell", "has no such model"

#: Name -> the package that it needs in addition to imgloc's dependencies, or "".
IMPLEMENTATIONS = {
    "imgloc": "",
    "linen": "",
    "torch_eager": "torch",
    "torch_channels_last": "torch",
    "torch_compiled": "torch",
    "keras": "keras",  # model.train_on_batch; forward: stateless_call in jax.jit
    "keras_inner": "keras",  # the step without Keras's trainer: stateless_call and stateless_apply in jax.jit
}
SETTINGS = ("box", "tuned")


def select_names(what: str, text: str, possible: Iterable[str]) -> list[str]:
    """Returns the names in a comma-separated list, or all if it is empty, in the order of `possible`. Raises UserError for others."""
    possible = list(possible)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in possible:
            raise unknown(what, name, possible)
    return [name for name in possible if name in names] if names else possible


def is_distinct(work: Work, implementation: str) -> bool:
    """Returns whether an implementation of a work differs from those listed before it.

    A forward pass does not use the trainer, sequences and glimpses have no channels, and recurrent attention has only linen's layers.
    """
    if implementation == "keras_inner":
        return work.train
    if implementation == "torch_channels_last":
        return work.model not in ("lstm", "recurrence", *GLIMPSES)
    return implementation != "linen" or work.model not in GLIMPSES


def unavailable(work: Work, implementation: str) -> str:
    """Returns why an implementation does not have a work (it has no such cell or model), or "" if it has it."""
    library = IMPLEMENTATIONS[implementation] or implementation
    if library == "keras" and work.model in GLIMPSES:
        return NO_SUCH_MODEL
    return NO_SUCH_CELL if library in LIBRARIES_WITHOUT_CELL.get(work.cell, ()) else ""


def find_work(group: str, name: str) -> Work:
    """Returns the work of a group in WORKS with a name. Raises UserError where there is none."""
    works = {work.name: work for work in WORKS[group]}
    if name not in works:
        raise unknown("work", name, works)
    return works[name]


def for_platform(works: Sequence[Work], platform: str, *, named: bool) -> list[Work]:
    """Returns the works that are timed on a platform (cpu, gpu, tpu). Raises UserError for another one if it was `named`."""
    left_out = [work for work in works if work.accelerator_only and platform == "cpu"]
    if named and left_out:
        possible = ", ".join(work.name for work in works if work not in left_out) or "works that need no accelerator"
        raise UserError(f"work '{left_out[0].name}' is timed only on an accelerator and JAX finds none; possible: {possible}")
    return [work for work in works if work not in left_out]
