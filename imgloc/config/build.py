"""Objects that a config names: its model, source, input spec, augmentation and task."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from ml_collections import ConfigDict

from imgloc.config.registry import ROOMS, declared, find, names
from imgloc.config.train_images import few_images
from imgloc.errors import UserError, reason
from imgloc.interfaces import Fit, Operation
from imgloc.randomness import generator
from imgloc.types import Augmentation, Batch, Example, FloatArray, InputSpec, Source

if TYPE_CHECKING:
    from flax import linen as nn

CALLER_FIELDS = ("num_classes", "parent", "name")  # fields of a model that no config sets


class Step(NamedTuple):
    """An operation of `data.preprocess` with its options bound."""

    name: str
    operation: Operation
    function: Callable[[Any], Any]  # images_bxhxwxc -> maps (b, h, w, k)
    picture: Callable[[FloatArray], FloatArray]  # maps (h, w, k) of one image -> (h, w, 1 or 3)
    keep: bool = False  # the maps are added to the channels so far, and the next operation reads what this one has read


def member(room: str, name: str, member: str) -> Callable[..., Any]:
    """The callable that a file of a room offers under a fixed name, such as `Model` or `source`."""
    module = find(room, name)
    function = getattr(module, member, None)
    if not callable(function):
        raise UserError(f"{ROOMS[room]} '{name}' has no {member}; see docs/extending")
    return cast(Callable[..., Any], function)


def model_fields(model: type[nn.Module]) -> dict[str, Any]:
    """A linen module's fields and their defaults."""
    made = {f.name: f.default_factory() for f in dataclasses.fields(model) if f.default_factory is not dataclasses.MISSING}
    return {f.name: made.get(f.name, f.default) for f in dataclasses.fields(model) if f.name not in CALLER_FIELDS}


def keyword_options(function: Callable[..., Any], *, but: str = "") -> dict[str, Any]:
    """The keyword-only options of a function with their defaults, without the option `but`."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != but}


def model_class(name: str) -> type[nn.Module]:
    """The linen module of a model file. Raises UserError where there is none."""
    from flax import linen as nn

    if not name:
        raise UserError(f"model.name is empty; possible: {', '.join(names('models'))}")
    model = member("models", name, "Model")
    if not (isinstance(model, type) and issubclass(model, nn.Module)):
        raise UserError(f"model '{name}' has a Model that is not a flax.linen Module; see docs/extending")
    return model


def make_model(model: ConfigDict, num_classes: int) -> nn.Module:
    """The linen module that a config names, for a number of classes. Raises UserError for fields that the model does not have."""
    fields = {key: value for key, value in model.to_dict().items() if key not in ("name", "pretrained")}
    module = model_class(model.name)
    unknown_fields = sorted(set(fields) - set(model_fields(module)))
    if unknown_fields:  # in a recipe, `complete` has refused them
        lacks = f"model '{model.name}' has no field {', '.join(unknown_fields)}; possible: {', '.join(model_fields(module))}"
        raise UserError(f"{lacks}. The run was made with another version: its provenance.json names the commit")
    return module(num_classes=num_classes, **fields)


def evaluation_fields(model: str) -> tuple[str, ...]:
    """Fields of a model that change none of its variables: a trained one may be scored with other values of them."""
    return tuple(getattr(find("models", model), "EVALUATION_FIELDS", ()))


def input_fields(model: str) -> tuple[str, ...]:
    """Fields of a model that are inputs of its compiled training step: numbers that only a layer such as `nn.dropout.Dropout` reads."""
    return tuple(getattr(find("models", model), "INPUT_FIELDS", ()))


def fit_of(name: str) -> Fit | None:
    """How the variables of a model are fitted; None where it is trained by gradients. Raises UserError for another object named `FIT`."""
    fit = getattr(find("models", name), "FIT", None)
    if fit is not None and not isinstance(fit, Fit):
        raise UserError(f"model '{name}' has a FIT that is not an imgloc.interfaces.Fit; see docs/extending")
    return fit


def make_source(data: ConfigDict, split: str, seed: int) -> Source:
    """One split of the data set that a config names; `data.train_images` of its images if it is the training split."""
    function = member("data.sources", data.source, "source")

    def make(seed: int) -> Source:
        source: Source = function(split, seed=seed, **data.options)
        return source

    try:
        source = few_images(make, seed, data.train_images) if split == "train" and data.train_images else make(seed)
        size = len(source)
    except UserError:
        raise
    except Exception as error:  # a user's source may raise anything
        raise UserError(f"source '{data.source}' fails for split '{split}': {reason(error)}") from error
    if not size:
        raise UserError(f"split '{split}' of source '{data.source}' has no examples")
    return source


def make_input_spec(data: ConfigDict, channels: int) -> InputSpec:
    """The input spec of a config's model."""
    return InputSpec((*data.image_size, channels), data.max_objects, data.resize)


def make_augmentation(augment: ConfigDict, spec: InputSpec) -> Augmentation | None:
    """The augmentation that a config names, its options checked; None where there is none.

    A crop is resized to the input spec in the same pass, except where it will be letterboxed.
    """
    if augment.name == "none":
        return None
    options: dict[str, Any] = {"size": spec.size if spec.resize == "stretch" else None}
    options |= {key: tuple(value) if isinstance(value, (list, tuple)) else value for key, value in augment.items() if key != "name"}
    function, enlarges = (member("data.augmentations", augment.name, name) for name in ("augment", "enlarges"))
    blank = Example(np.zeros((32, 32, 3), np.uint8), np.array([[0.25, 0.25, 0.75, 0.75]], np.float32), np.zeros(1, np.int32), 0, "", "")
    function(blank, generator(0, "augmentation", 0), **options)  # wrong options raise before anything begins
    return Augmentation(functools.partial(function, **options), enlarges(**options))


def make_batch_transforms(entries: Sequence[Mapping[str, Any]], num_classes: int) -> tuple[Callable[..., Batch], ...]:
    """The batch transforms that a config names, in order, with their options bound, and `num_classes` where they take it."""
    made = []
    for entry in entries:
        options = {key: value for key, value in entry.items() if key != "name"}
        function = member("data.batch_transforms", entry["name"], "transform")
        if "num_classes" in keyword_options(function):
            options["num_classes"] = num_classes
        made.append(functools.partial(function, **options))
    return tuple(made)


def make_steps(entries: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The operations of `data.preprocess` of a complete config, in order, with their options bound."""
    made = []
    for entry in entries:
        operation = declared("operations", entry["name"], Operation)
        options = {key: value for key, value in entry.items() if key not in ("name", "keep")}
        shown = {key: options[key] for key in keyword_options(operation.picture)}
        function, picture = functools.partial(operation.function, **options), functools.partial(operation.picture, **shown)
        made.append(Step(entry["name"], operation, function, picture, entry["keep"]))
    return tuple(made)
