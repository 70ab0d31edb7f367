"""Score maps of a trained model for images, by several methods."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from imgloc.config.registry import declared
from imgloc.devices import runtime
from imgloc.errors import UserError
from imgloc.explanation.keys import image_keys
from imgloc.explanation.layers import Traced, find_layer, map_shapes, trace
from imgloc.explanation.method import Method, score_maps
from imgloc.explanation.question import Question
from imgloc.explanation.requests import Target, parse_target
from imgloc.explanation.targets import BOUNDED, detections
from imgloc.inference.load import Prepared, TrainedModel
from imgloc.inference.predict import abstract_outputs
from imgloc.nn.apply import apply_eval, as_inputs
from imgloc.score_maps.levels import as_levels, box_above
from imgloc.types import FloatArray, Outputs

#: (variables, images_bxhxwxc, index_bxm, keys_b) -> maps_bxhxw of any size in [0, 1]
Explainer = Callable[[Any, Any, Any, Any], jax.Array]


class ScoreMap(NamedTuple):
    """The answer of one method for one image."""

    map_hxw: FloatArray  # in [0, 1], over the image: of the size that the image has in the model's input
    target: str  # such as the name of the class
    layer: str  # that the method explains by; "" for a method without one
    score: float  # the number that is explained


def target_of(trained: TrainedModel, text: str) -> Target:
    """The target of a text; see `parse_target`."""
    return parse_target(text, trained.classes, abstract_outputs(trained.module, trained.variables, trained.spec.shape))


def map_function(
    trained: TrainedModel, method: Method, target: Target, *, layer: str = "", options: Mapping[str, Any] | None = None
) -> Explainer:
    """The maps of a method for images in [0, 1], as a function that can be jitted."""
    objective = BOUNDED.get(target.objective, target.objective) if method.bounded else target.objective
    apply = functools.partial(apply_eval, model=trained.module)

    def explain(variables: Any, inputs: jax.Array, index: jax.Array, keys_b: jax.Array) -> jax.Array:
        return score_maps(method, Question(apply, variables, objective, index, layer), inputs, keys_b, **(options or {}))

    return explain


def make_explainer(
    trained: TrainedModel, method: Method, target: Target, *, layer: str = "", options: Mapping[str, Any] | None = None
) -> Explainer:
    """The same for uint8 images, compiled. It computes in float32, also for a model trained in bfloat16."""
    maps_of = map_function(trained, method, target, layer=layer, options=options)

    @functools.partial(jax.jit, compiler_options=runtime.compiler_options())
    def explain(variables: Any, images: jax.Array, index: jax.Array, keys_b: jax.Array) -> jax.Array:
        return maps_of(variables, as_inputs(images, jnp.float32), index, keys_b)

    return explain


class Chosen(NamedTuple):
    """What a target is for images."""

    index_bxm: Any  # of the objective; without a meaning where the detection does not exist
    score_b: Any  # of a class its probability
    detections_b: Any  # how many the model finds


def make_chooser(trained: TrainedModel, target: Target) -> Callable[[Any], Chosen]:
    """A compiled function of uint8 images that returns what the target is for them."""

    @functools.partial(jax.jit, compiler_options=runtime.compiler_options())
    def choose(variables: Any, images: jax.Array) -> Chosen:
        outputs = apply_eval(variables, as_inputs(images, jnp.float32), model=trained.module)
        index = target.choose(outputs)
        objective = BOUNDED.get(target.objective, target.objective)
        return Chosen(index, objective(outputs, index), detections(outputs))

    return functools.partial(choose, trained.variables)


def explain_images(
    trained: TrainedModel,
    prepared: Sequence[Prepared],
    methods: Sequence[str],
    target: Target,
    *,
    layer: str = "",
    seed: int = 0,
    batch_size: int = 8,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[dict[str, ScoreMap] | UserError]:
    """The score maps of each image by the names of the methods, in order; the error for an image without the explained detection.

    The score of a class is its probability. Random numbers of a method depend only on the seed, so that the map of an image does not
    depend on the others. Raises UserError for an unknown method and for an unsuitable layer or target.
    """
    found = {name: declared("explanation.methods", name, Method) for name in methods}
    if any(method.at_layer for method in found.values()):
        layer = layer_of(trained, target, layer)
    explainers = {
        name: make_explainer(trained, method, target, layer=layer, options=(options or {}).get(name)) for name, method in found.items()
    }
    layers = {name: layer if method.at_layer else "" for name, method in found.items()}
    choose = make_chooser(trained, target)
    keys_b = image_keys(seed, "explanation", jnp.zeros(min(batch_size, len(prepared)), jnp.int32))
    for start in range(0, len(prepared), batch_size):
        batch = prepared[start : start + batch_size]
        images = np.zeros((min(batch_size, len(prepared)), *trained.spec.shape), np.uint8)
        images[: len(batch)] = [each.input_hxwxc for each in batch]
        chosen = jax.device_get(choose(images))
        maps = {name: np.asarray(explainer(trained.variables, images, chosen.index_bxm, keys_b)) for name, explainer in explainers.items()}
        for i, each in enumerate(batch):
            missing = target.missing(int(chosen.detections_b[i]))
            words, score = target.describe(chosen.index_bxm[i]), float(chosen.score_b[i])
            yield missing or {name: ScoreMap(map_over_image(values[i], each), words, layers[name], score) for name, values in maps.items()}


def map_over_image(map_hxw: FloatArray, prepared: Prepared) -> FloatArray:
    """A map of any size over the input of a model, on the image, at its size there; zeros where the input does not show the image."""
    return map_over_input(map_hxw, prepared.input_hxwxc.shape[:2], prepared.content_4)


def map_over_input(map_hxw: FloatArray, size: tuple[int, ...], content_4: FloatArray) -> FloatArray:
    """The same for an input of a height and width, and the part `content_4` of it that shows the image."""
    height, width = size
    resized = cv2.resize(np.asarray(map_hxw, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    x0, y0, x1, y1 = (np.asarray(content_4, np.float64) * [width, height, width, height]).round().astype(int).tolist()
    on_image = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1)), np.float32)
    top, left = max(-y0, 0), max(-x0, 0)
    shown = resized[max(y0, 0) :, max(x0, 0) :][: on_image.shape[0] - top, : on_image.shape[1] - left]
    on_image[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return on_image


def box_of_map(map_hxw: FloatArray, threshold: float) -> FloatArray | None:
    """The box [4], in [0, 1], of the largest region above a share of the highest value of a map; None where the map is zeros."""
    levels_hxw = as_levels(map_hxw)
    return box_above(levels_hxw, int(threshold * int(levels_hxw.max()))) if levels_hxw.any() else None


def layer_shapes(trained: TrainedModel) -> dict[str, tuple[int, ...]]:
    """The layers with maps that methods can explain by, in the order of computation: height, width and channels."""
    return {name: shape[1:] for name, shape in map_shapes(_traced(trained, target_of(trained, ""))).items()}


def layer_of(trained: TrainedModel, target: Target, layer: str) -> str:
    """The name of a layer, or of the default one; see `find_layer`. A model declares one as its class variable `explained_layer`."""
    return find_layer(_traced(trained, target), layer, default=getattr(trained.module, "explained_layer", ""))


def layer_names(trained: TrainedModel) -> list[str]:
    """All layers and modules with one array as output, in the order of computation."""
    return list(_traced(trained, target_of(trained, "")).layers)


def _traced(trained: TrainedModel, target: Target) -> Traced:
    def score_and_outputs(variables: Any, images: jax.Array) -> tuple[jax.Array, Outputs]:
        outputs = apply_eval(variables, images, model=trained.module)
        return target.objective(outputs, target.choose(outputs)), outputs

    return trace(score_and_outputs, trained.variables, jax.ShapeDtypeStruct((1, *trained.spec.shape), jnp.float32))
