"""What is timed: one short description a work, the implementations and settings to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from imgloc.errors import UserError, unknown


@dataclass(frozen=True)
class Work:
    """One thing that is timed: whole Adam steps where `train`, else the forward pass, always of the same batch."""

    name: str
    model: str  # what benchmarks.models, torch_models and keras_models build
    size: int  # pixels a side; of the LSTM: rows, and pixels in each
    channels: int
    classes: int
    batch: int
    train: bool
    accelerator_only: bool = False  # too slow to time on a CPU
    steps_per_call: int = 1  # that imgloc does in one compiled call, as its loop does; times are a step's
    cell: str = ""  # of a recurrence, as `imgloc.nn.cell` reads it
    units: int = 0
    order: str = ""  # the image as a sequence: rows, pixels, or maps, which are its channels


SEED = Work("three_layer_cnn_224", "three_layer_cnn", 224, 3, 1000, 32, train=True)
DIGITS = Work("digits_cnn_64", "digits_cnn", 64, 1, 10, 64, train=True)
RESNET18 = Work("resnet18_64", "resnet18", 64, 3, 1000, 32, train=True)
LSTM = Work("lstm_28", "lstm", 28, 1, 10, 64, train=True, steps_per_call=10)  # 2 ms a step: dispatch shows
LITE0 = Work("efficientnet_lite0_224", "efficientnet_lite0", 224, 3, 1000, 1, train=False)
GLIMPSES = {"ram_mnist": {"glimpses": 6, "size": 8, "scales": 1}, "ram_cluttered": {"glimpses": 6, "size": 12, "scales": 3}}
RAM_MNIST = Work("ram_mnist", "ram_mnist", 28, 1, 10, 128, train=True, steps_per_call=10)
RAM_CLUTTERED = Work("ram_cluttered", "ram_cluttered", 60, 1, 10, 128, train=True, steps_per_call=10)
RESNET50 = Work("resnet50_224", "resnet50", 224, 3, 1000, 128, train=True, accelerator_only=True)


def _forward(work: Work, batch: int) -> Work:
    return replace(work, name=f"{work.name}_b{batch}", batch=batch, train=False, steps_per_call=1)


STEP = (SEED, DIGITS, RESNET18, LSTM, RAM_MNIST, RAM_CLUTTERED, _forward(LITE0, 1), _forward(LITE0, 8), RESNET50)
INFER = tuple(_forward(work, batch) for work in (SEED, DIGITS, RESNET18, LSTM, LITE0, RESNET50) for batch in (1, 8))


def _recurrence(name: str, cell: str, order: str) -> Work:
    if order == "maps":  # 8 of 14x14
        return Work(f"{name}_maps", "recurrence", 14, 8, 10, 64, train=True, cell=cell, units=16, order=order)
    units, calls = {"rows": (128, 10), "pixels": (100, 1)}[order]
    return Work(f"{name}_{order}", "recurrence", 28, 1, 10, 64, train=True, steps_per_call=calls, cell=cell, units=units, order=order)


ORDINARY = ("elman", "irnn", "lstm", "gru", "minimal_gru", "lru")
CELLS = (
    *(_recurrence(cell, cell, order) for order in ("rows", "pixels") for cell in ORDINARY),
    _recurrence("lru_associative", "lru(form=associative)", "pixels"),
    _recurrence("conv_lstm", "conv_lstm", "maps"),
)
WORKS = {"step": STEP, "infer": INFER, "cells": CELLS}

#: Cell -> where there is none such.
LACKING = {"lru": ("linen", "torch", "keras"), "minimal_gru": ("torch", "keras"), "conv_lstm": ("torch",)}
NO_SUCH_CELL, NOT_WRITTEN = "has no such cell", "is not written in it"

#: Name -> the package that it needs beside imgloc's own, or "".
IMPLEMENTATIONS = {
    "imgloc": "",
    "linen": "",
    "torch_eager": "torch",
    "torch_channels_last": "torch",
    "torch_compiled": "torch",
    "keras": "keras",  # model.train_on_batch; forward: stateless_call in jax.jit
    "keras_inner": "keras",  # its step without the trainer around it: stateless_call and stateless_apply in jax.jit
}
SETTINGS = ("box", "tuned")


def chosen(what: str, wanted: str, possible: Iterable[str]) -> list[str]:
    """The names of a comma-separated list, all possible ones where it is empty. Raises UserError for another."""
    possible = list(possible)
    names = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
    for name in names:
        if name not in possible:
            raise unknown(what, name, possible)
    return [name for name in possible if name in names] if names else possible


def is_another(work: Work, implementation: str) -> bool:
    """Whether an implementation of a work is another than those listed before it.

    A forward pass has no trainer, rows and glimpses no channels; recurrent attention is made of linen's layers.
    """
    sequence = work.model in ("lstm", "recurrence", *GLIMPSES)
    same = (implementation == "keras_inner" and not work.train) or (implementation == "torch_channels_last" and sequence)
    return not (same or (implementation == "linen" and work.model in GLIMPSES))


def lack(work: Work, implementation: str) -> str:
    """Why an implementation cannot do a work: it has no such cell, or the model is not written in it; "" where it can."""
    library = IMPLEMENTATIONS[implementation] or implementation
    if library == "keras" and work.model in GLIMPSES:
        return NOT_WRITTEN
    return NO_SUCH_CELL if library in LACKING.get(work.cell.partition("(")[0], ()) else ""


def find_work(group: str, name: str) -> Work:
    """The work of a name in a group of WORKS. Raises UserError where there is none."""
    found = {work.name: work for work in WORKS[group]}
    if name not in found:
        raise unknown("work", name, found)
    return found[name]


def for_platform(works: Sequence[Work], platform: str, *, named: bool) -> list[Work]:
    """The works that are timed on a platform (cpu, gpu, tpu); raises UserError where one that was `named` is not."""
    left_out = [work for work in works if work.accelerator_only and platform == "cpu"]
    if named and left_out:
        possible = ", ".join(work.name for work in works if work not in left_out) or "works that say nothing of one"
        raise UserError(f"work '{left_out[0].name}' is timed on an accelerator alone, JAX finds none here; possible: {possible}")
    return [work for work in works if work not in left_out]
