"""How good the explanations of a trained model are: metrics with intervals for each method, beside controls that read no model."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from imgloc import boxes
from imgloc.config.registry import declared
from imgloc.data.batches import pipeline
from imgloc.devices import runtime
from imgloc.errors import UserError
from imgloc.evaluation.explanation_metrics import METRICS
from imgloc.evaluation.statistics import Interval, bootstrap_weights, percentile_interval, values_of_sums
from imgloc.explanation.keys import image_keys
from imgloc.explanation.method import Method, normalize
from imgloc.explanation.quality import curves, in_box, sanity
from imgloc.explanation.quality.controls import CONTROLS
from imgloc.explanation.quality.sensitivity import max_sensitivity
from imgloc.explanation.question import Question
from imgloc.explanation.requests import Target, parse_target
from imgloc.explanation.targets import BOUNDED
from imgloc.inference.explain import layer_names, layer_of, make_chooser, make_explainer, map_function
from imgloc.inference.load import TrainedModel
from imgloc.inference.predict import abstract_outputs
from imgloc.interfaces import mean
from imgloc.nn.apply import apply_eval, as_inputs
from imgloc.randomness import purpose_number
from imgloc.types import Batch, FloatArray, InputSpec, Source

T = TypeVar("T")
STEPS, STAGES, CHANGES = 16, 3, 4  # of the curves, of the cascade of random weights, and changed images of the sensitivity


class Scorer(NamedTuple):
    """Compiled functions of one method for (variables, images uint8, index, keys_b)."""

    maps: Callable[[Any, Any, Any, Any], jax.Array]  # (b, h, w) in [0, 1], of the size of the model's input
    model_metrics: Callable[[Any, Any, Any, Any, Any], Mapping[str, jax.Array]]  # (b,) by key; the last argument is the maps
    reads_model: bool = True


def score_explanations(
    trained: TrainedModel,
    source: Source,
    methods: Sequence[str],
    *,
    target: str = "",
    layer: str = "",
    count: int = 200,
    batch_size: int = 8,
    samples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """The metrics of each method and of each control on the first examples of a source: {method: {metric: interval}}.

    There are `count` examples, up to a full batch. Without a `target`, the class of each image is explained, if the model has classes; an
    image without a class or without the explained detection is left out. Boxes of the target are those of objects of the explained class;
    for an edge, all boxes. Raises UserError where no example is left.
    """
    asked = parse_target(target, trained.classes, abstract_outputs(trained.module, trained.variables, trained.spec.shape))
    own_class = not target and asked.reads == "logits"
    found = {name: declared("explanation.methods", name, Method) for name in methods}
    if any(method.at_layer for method in found.values()):
        layer = layer_of(trained, asked, layer)
    scorers = {name: _scorer(trained, method, asked, layer if method.at_layer else "") for name, method in found.items()}
    scorers |= {name: _scorer_of_control(trained, control, asked) for name, control in CONTROLS.items()}
    random = list(sanity.cascade(trained.variables, layer_names(trained), jax.random.key(seed), STAGES))
    choose = make_chooser(trained, asked)
    values: dict[str, list[dict[str, float]]] = {name: [] for name in scorers}
    groups: list[str] = []
    spec = InputSpec(trained.spec.shape, max_objects=100, resize=trained.spec.resize)
    batches = pipeline.eval_batches(source, batch_size, spec)
    for number, (examples, batch) in enumerate(itertools.islice(batches, math.ceil(count / batch_size))):
        chosen = None if own_class else jax.device_get(choose(batch.images_bxhxwxc))
        index = batch.label_b[:, None] if chosen is None else chosen.index_bxm
        exists_b = batch.label_b >= 0 if chosen is None else np.array([asked.missing(int(n)) is None for n in chosen.detections_b])
        explained_b = batch.example_mask_b & exists_b
        groups += [examples[i].group for i in np.flatnonzero(explained_b)]
        batch = batch._replace(example_mask_b=explained_b)  # noqa: PLW2901
        keys_b = image_keys(seed, "explanation", number * batch_size + jnp.arange(batch_size))
        for name, scorer in scorers.items():
            values[name] += _of_batch(scorer, trained.variables, random, batch, index, keys_b, asked.label)
    if not groups:
        raise UserError("no example of the split can be read and has the explained class or detection; see imgloc data check")
    weights_rxg, group_n = bootstrap_weights(groups, samples=samples, seed=seed)
    return {name: _intervals(rows, weights_rxg, group_n) for name, rows in values.items()}


def _of_batch(
    scorer: Scorer, variables: Any, random: Sequence[Any], batch: Batch, index: Any, keys_b: Any, label: int | None
) -> list[dict[str, float]]:
    """The metrics of each example of a batch that is marked in it; `label` is the position of the class in an index, if there is one."""
    images = batch.images_bxhxwxc
    maps = np.asarray(scorer.maps(variables, images, index, keys_b))
    found = {key: np.asarray(value) for key, value in scorer.model_metrics(variables, images, index, keys_b, maps).items()}
    if scorer.reads_model:
        changed = [np.asarray(scorer.maps(others, images, index, keys_b)) for others in random]
        found["randomization"] = np.mean([sanity.rank_correlation(maps, others) for others in changed], axis=0)
    rows = []
    for i in np.flatnonzero(batch.example_mask_b):
        shown = batch.object_mask_bxn[i] & (True if label is None else batch.labels_bxn[i] == int(index[i, label]))
        boxes_nx4 = boxes.from_window(np.asarray(batch.boxes_bxnx4[i][shown], np.float64), np.asarray(batch.content_bx4[i], np.float64))
        located = {"pointing": in_box.points_into_box(maps[i], boxes_nx4), "energy": in_box.energy_in_box(maps[i], boxes_nx4)}
        rows.append({**located, **{key: float(value[i]) for key, value in found.items()}})
    return rows


def _intervals(rows: Sequence[Mapping[str, float]], weights_rxg: FloatArray, group_n: Any) -> dict[str, Interval]:
    """The interval of each metric over the examples that it applies to."""
    found = {}
    for key in (metric.key for metric in METRICS if metric.key in rows[0]):
        value_n = np.array([row[key] for row in rows])
        counts_n = np.isfinite(value_n)
        statistics_nx2 = np.stack([np.where(counts_n, value_n, 0.0), counts_n.astype(np.float64)], axis=1)
        values = values_of_sums(statistics_nx2, weights_rxg, group_n, mean)
        if values is not None:
            found[key] = percentile_interval(values)
    return found


def _scorer(trained: TrainedModel, method: Method, target: Target, layer: str) -> Scorer:
    explainer, maps_of = make_explainer(trained, method, target, layer=layer), map_function(trained, method, target, layer=layer)

    def maps(variables: Any, images: jax.Array, index: jax.Array, keys_b: jax.Array) -> jax.Array:
        return over_inputs(explainer(variables, images, index, keys_b), images)

    @_compiled
    def over_inputs(maps: jax.Array, images: jax.Array) -> jax.Array:
        return _over_inputs(maps, *images.shape[1:3])

    @_compiled
    def metrics(variables: Any, images: jax.Array, index: jax.Array, keys_b: jax.Array, maps: jax.Array) -> dict[str, jax.Array]:
        inputs = as_inputs(images, jnp.float32)

        def explain(changed: jax.Array) -> jax.Array:
            return _over_inputs(maps_of(variables, changed, index, keys_b), *images.shape[1:3])

        changes = jax.vmap(lambda key: jax.random.fold_in(key, purpose_number("sensitivity")))(keys_b)
        changed = max_sensitivity(explain, inputs, maps, changes, samples=CHANGES)
        return {**_areas(trained, target, variables, index, inputs, maps), "sensitivity": changed}

    return Scorer(maps, metrics)


def _scorer_of_control(trained: TrainedModel, control: Callable[[jax.Array, jax.Array], jax.Array], target: Target) -> Scorer:
    @_compiled
    def maps(variables: Any, images: jax.Array, index: jax.Array, keys_b: jax.Array) -> jax.Array:
        return normalize(control(as_inputs(images, jnp.float32), keys_b))

    @_compiled
    def metrics(variables: Any, images: jax.Array, index: jax.Array, keys_b: jax.Array, maps: jax.Array) -> dict[str, jax.Array]:
        return _areas(trained, target, variables, index, as_inputs(images, jnp.float32), maps)

    return Scorer(maps, metrics, reads_model=False)


def _compiled(function: Callable[..., T]) -> Callable[..., T]:
    compiled: Callable[..., T] = jax.jit(function, compiler_options=runtime.compiler_options())
    return compiled


def _over_inputs(maps_bxhxw: jax.Array, height: int, width: int) -> jax.Array:
    """Maps at the size of the model's input, in [0, 1]."""
    return normalize(jax.image.resize(maps_bxhxw, (len(maps_bxhxw), height, width), "linear"))


def _areas(
    trained: TrainedModel, target: Target, variables: Any, index: jax.Array, inputs: jax.Array, maps: jax.Array
) -> dict[str, jax.Array]:
    """The areas under the curves of deletion and insertion, of probabilities where a class is explained."""
    objective = BOUNDED.get(target.objective, target.objective)
    score = Question(functools.partial(apply_eval, model=trained.module), variables, objective, index).score
    found = {"deletion": curves.deletion_curve, "insertion": curves.insertion_curve}
    return {key: curves.area_under(curve(score, inputs, maps, STEPS)) for key, curve in found.items()}
