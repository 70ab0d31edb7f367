"""The contract of each room, for every file found in it: a new file is tested by being there."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import pickle
from collections.abc import Mapping
from typing import Any, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import jaxtyped

from imgloc.config import registry
from imgloc.config.build import CALLER_FIELDS, fit_of, model_class, model_fields
from imgloc.config.registry import declared
from imgloc.config.schema import base
from imgloc.data.batches import collate
from imgloc.devices import runtime
from imgloc.evaluation import scoring
from imgloc.inference.outputs import check_outputs
from imgloc.inference.predict import abstract_variables, task_rows
from imgloc.interfaces import AxisNames, Baseline, Export, ImageRow, Loss, MetricFamily, Slicing, Task
from imgloc.losses.geometry.dense_targets import DensePredictions
from imgloc.losses.geometry.set_targets import SetPredictions
from imgloc.nn.apply import apply_train, as_inputs, input_of, predict_step, reads_videos
from imgloc.nn.feature_maps import maps_by_stride
from imgloc.nn.fitted import COLLECTION
from imgloc.training.objective import WeightedLoss, batch_loss
from imgloc.training.optim import make_optimizer
from imgloc.training.step import init_state, step_key
from imgloc.types import DICT_OUTPUTS, Batch, Example, InMemory, InputSpec, Reducible, Tracks, Truth, TruthKnown
from tests.detection.coco_oracle import random_rows
from tests.truths import truths_of

CLASSES = 3
SHAPE = (64, 64, 1)
LENGTHS = {"k": CLASSES, "n": 2}  # of axes by their letter; any other is 3 long


def tasks() -> dict[str, Task]:
    return {name: declared("tasks", name, Task) for name in registry.names("tasks")}


def random_array(shape: AxisNames, b: int, seed: int) -> np.ndarray:
    """Numbers in (0, 1) for an output of a declared shape; four numbers at the end are a box."""
    sizes = [axis if isinstance(axis, int) else LENGTHS.get(axis, 3) for axis in shape[1:]]
    array = np.random.default_rng(seed).uniform(0.05, 0.95, (b, *sizes)).astype(np.float32)
    return np.sort(array.reshape(b, -1, 2, 2), axis=2).reshape(array.shape) if sizes and sizes[-1] == 4 else array


def random_outputs(shapes: Any, b: int, seed: int = 1) -> dict[str, Any]:
    """Outputs of declared shapes; `features/NAME` is an entry of `features`."""
    outputs: dict[str, Any] = {}
    for number, (name, shape) in enumerate(shapes.items()):
        place, key = (outputs.setdefault("features", {}), name.split("/")[1]) if "/" in name else (outputs, name)
        place[key] = random_array(shape, b, seed + number)
    return outputs


def rows_of(name: str, count: int = 30) -> list[dict[str, Any]]:
    """Rows of a task with everything that a model may give it: two to a group, some images without objects, some predictions right."""
    task, batch = tasks()[name], some_videos(count, objects=2)
    objects = np.arange(count) % 5 > 0
    batch = batch._replace(object_mask_bxn=batch.object_mask_bxn & objects[:, None])
    outputs = random_outputs({**task.outputs, **task.optional_outputs}, count)
    rows = task_rows(task, outputs, batch, truths_of(batch))
    return [{"id": f"{i:02d}", "group": f"g{i // 2}", "split": "test", "finite": i % 7 > 0, **row} for i, row in enumerate(rows)]


def some_batch(b: int = 2, objects: int = 1) -> Batch:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.4, (b, objects, 2))
    boxes_bxnx4 = np.concatenate([low, low + rng.uniform(0.2, 0.6, (b, objects, 2))], axis=-1).astype(np.float32)
    return Batch(
        rng.integers(0, 256, (b, *SHAPE), dtype=np.uint8),
        boxes_bxnx4,
        rng.integers(0, CLASSES, (b, objects)).astype(np.int32), np.ones((b, objects), bool),
        rng.integers(0, CLASSES, b).astype(np.int32), np.ones(b, bool), np.tile(np.array([0, 0, 1, 1], np.float32), (b, 1)),
    )  # fmt: skip


def some_videos(b: int = 2, objects: int = 1) -> Batch:
    """`some_batch` as videos of three frames, each with other pixels; objects are hidden in the second one."""
    batch, rng = some_batch(b, objects), np.random.default_rng(1)
    frames = np.concatenate([batch.images_bxhxwxc[:, None], rng.integers(0, 256, (b, 2, *SHAPE), dtype=np.uint8)], axis=1)
    boxes = np.repeat(batch.boxes_bxnx4[:, None], 3, axis=1) + np.float32([0, 0.02, 0.04])[:, None, None]
    visible = np.tile(np.float32([1, 0, 1])[:, None], (b, 1, objects))
    return batch._replace(frames_bxtxhxwxc=frames, tracks=Tracks(boxes.clip(0, 1), np.ones((b, 3, objects), bool), visible))


def batch_for(name: str, b: int = 2, objects: int = 1) -> Batch:
    """What a model reads: videos, or images."""
    return some_videos(b, objects) if reads_videos(model_class(name.partition("/")[0])(num_classes=CLASSES)) else some_batch(b, objects)


def check_axes(batch: Batch) -> None:
    """Asserts that every field has the dtype and the axes of its annotation, of the same sizes wherever a letter returns."""
    with jaxtyped("context"):  # type: ignore[attr-defined]  # a decorator too
        for name, annotation in get_type_hints(Batch).items():
            assert isinstance(getattr(batch, name), annotation), (name, annotation)


def forms() -> list[str]:
    """The models, and as `model/variant` what else they say they can be, in VARIANTS: fields by name."""
    found = registry.names("models")
    return found + [f"{name}/{variant}" for name in found for variant in getattr(registry.find("models", name), "VARIANTS", {})]


def trained_by_gradients() -> list[str]:
    """The forms of models without a FIT."""
    return [name for name in forms() if fit_of(name.partition("/")[0]) is None]


@functools.cache
def fit_batches() -> tuple[Batch, ...]:
    """Two training batches; only the first object of an image is used, and one image has none."""
    whole = some_videos(24)  # a fit of images reads the first frames
    whole.object_mask_bxn[5] = False
    return jax.tree.map(lambda array: array[:12], whole), jax.tree.map(lambda array: array[12:], whole)


def fitted(module: Any, fields: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A model fitted on random images, and its variables."""
    model = module.Model(num_classes=CLASSES, **fields)
    prepared = module.FIT.prepare(model, iter(fit_batches()))
    result = module.FIT.fit(model, prepared, np.random.default_rng(0))
    return module.Model(num_classes=CLASSES, **{**fields, **result.fields}), {COLLECTION: dict(result.variables)}


@functools.cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of TINY fields, or of a variant's, and its variables, initialized the way training does, or fitted."""
    name, _, variant = name.partition("/")
    module = registry.find("models", name)
    if fit_of(name) is not None:
        return fitted(module, module.VARIANTS[variant] if variant else module.TINY)
    model = module.Model(num_classes=CLASSES, **(module.VARIANTS[variant] if variant else module.TINY))
    optimizer, _ = make_optimizer(base().optim, 10)
    init = functools.partial(init_state, shape=SHAPE, model=model, optimizer=optimizer, ema_decay=0.0)
    state = jax.jit(init, compiler_options=runtime.compiler_options_once())(0)
    return model, {"params": state.params, **state.model_state}


@functools.cache
def predicted(name: str) -> dict[str, Any]:
    model, variables = built(name)
    return jax.device_get(jax.jit(functools.partial(predict_step, model=model))(variables, input_of(batch_for(name))))


def boxes_of(outputs: Any) -> list[str]:
    """The outputs that are boxes: (b, 4), and no class scores."""
    found = [k for k, v in outputs.items() if k not in DICT_OUTPUTS and v.ndim == 2 and v.shape[1] == 4]
    return [k for k in found if "logits" not in k]


@pytest.mark.parametrize("name", forms())
def test_a_model_gives_finite_outputs_and_valid_boxes(name: str) -> None:
    outputs = predicted(name)
    for path, value in jax.tree_util.tree_leaves_with_path(outputs):
        assert np.isfinite(value).all(), jax.tree_util.keystr(path)
        assert len(value) == 2, jax.tree_util.keystr(path)
        assert value.dtype in (np.float32, np.int32), jax.tree_util.keystr(path)
    for box in boxes_of(outputs):
        low, high = outputs[box][:, :2], outputs[box][:, 2:]
        assert (low >= 0).all(), box
        assert (high >= low).all(), box
        assert (high <= 1).all(), box
    served = {key: task for key, task in tasks().items() if set(task.outputs) <= set(outputs)}
    assert served, "the outputs are those of no task"
    for key, task in served.items():
        check_outputs(task, key, outputs, name, 2, CLASSES)
        for needed in task.outputs:
            if outputs[needed].dtype != np.float32:
                continue  # labels may be equal before training
            assert not np.array_equal(outputs[needed][0], outputs[needed][1]), f"{needed} does not depend on the image"
    check_partial_predictions(outputs)


def check_partial_predictions(outputs: Any) -> None:
    """What has been read stays read, and the last of partial predictions is the prediction, bit for bit."""
    forming = dict(outputs.get("partial_predictions", {}))
    seen = forming.pop("seen", np.ones((2, 1, 1, 1)))
    assert seen.shape[1] <= 64
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert (np.diff(seen, axis=1) >= 0).all()
    assert (seen[:, -1].max(axis=(1, 2)) == 1).all()
    if "fixations" in forming:
        np.testing.assert_array_equal(forming.pop("fixations"), outputs["fixations"])
    for key, value in forming.items():
        np.testing.assert_array_equal(value[:, -1], outputs[key])


@pytest.mark.parametrize("name", registry.names("models"))
def test_a_models_answer_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    model, variables = built(name)
    together = predicted(name)
    alone = jax.jit(functools.partial(predict_step, model=model))(variables, jax.tree.map(lambda a: a[1:], input_of(batch_for(name))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1:], b, rtol=1e-4, atol=1e-5), together, dict(alone))


def class_scores_of(outputs: Any) -> list[str]:
    """The outputs that are class scores of the image: (b, k)."""
    return [k for k, v in outputs.items() if "logits" in k and v.ndim == 2]


def training_losses(outputs: Any) -> list[WeightedLoss]:
    """Every loss whose declared outputs a model gives in training, once for each output that its option `output` may name."""
    given = {
        **{k: v for k, v in outputs.items() if k not in DICT_OUTPUTS},
        **{f"features/{k}": v for k, v in outputs.get("features", {}).items()},
    }
    losses = []
    for name in registry.names("losses"):
        loss = declared("losses", name, Loss)
        default = {k: p.default for k, p in inspect.signature(loss.function).parameters.items() if p.kind is p.KEYWORD_ONLY}
        kinds = {"box": boxes_of, "logits": class_scores_of}
        named = kinds[default["output"]](outputs) if default.get("output") in kinds else [default.get("output", "")]
        for output in named:
            options = {**default, **({"output": output} if output else {})}
            if all(needed.format(**options) in given for needed in loss.outputs):
                losses.append(WeightedLoss(f"{name} {output}", 1.0, functools.partial(loss.function, **options)))
    assert losses, "no loss can train this model"
    return losses


def trained_outputs(name: str) -> Any:
    """Shapes of the outputs of a model in training."""
    model, variables = built(name)
    state = {k: v for k, v in variables.items() if k != "params"}
    forward = functools.partial(apply_train, key=jax.random.key(0), model=model)
    return jax.eval_shape(forward, variables["params"], state, batch_for(name))[0]


@pytest.mark.parametrize("name", [name for name in forms() if name not in trained_by_gradients()])
def test_a_fit_gives_the_variables_that_the_model_needs_and_the_same_bits_twice(name: str) -> None:
    model, variables = built(name)
    name, _, variant = name.partition("/")
    module, fit = registry.find("models", name), fit_of(name)
    assert fit is not None
    needed = abstract_variables(model, SHAPE, name)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), variables) == jax.tree.map(lambda a: (a.shape, a.dtype), needed)
    fields = module.VARIANTS[variant] if variant else module.TINY
    again_model, again = fitted(module, fields)
    assert again_model == model
    jax.tree.map(np.testing.assert_array_equal, again, variables)
    defaults = model_fields(module.Model)
    assert all(isinstance(defaults[field], tuple) and defaults[field] for field in fit.search)
    assert all(len(fields.get(field, defaults[field])) == 1 for field in fit.search), "TINY is one candidate"
    decided = {field for field in defaults if getattr(model, field) != fields.get(field, defaults[field]) and field != "descriptor"}
    assert decided <= set(fit.decides) <= set(defaults), "a fit decides the fields that it declares, and no others"


@pytest.mark.parametrize("name", registry.names("models.descriptors"))
def test_a_descriptor_gives_each_image_the_same_finite_features_alone_and_in_a_batch(name: str) -> None:
    module = registry.find("models.descriptors", name).Descriptor()
    images_bxhxwxc = np.random.default_rng(0).uniform(0, 1, (3, 32, 40, 3)).astype(np.float32)
    assert not module.init(jax.random.key(0), images_bxhxwxc)
    describe = jax.jit(lambda images: module.apply({}, images))
    features_bxd = np.asarray(describe(images_bxhxwxc))
    assert features_bxd.ndim == 2
    assert len(features_bxd) == 3
    assert np.isfinite(features_bxd).all()
    np.testing.assert_allclose(np.asarray(describe(images_bxhxwxc[1:2])), features_bxd[1:2], atol=1e-6)
    assert not np.array_equal(features_bxd[0], features_bxd[1])


@pytest.mark.parametrize("name", trained_by_gradients())
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    model, variables = built(name)
    params = variables["params"]
    state = {k: v for k, v in variables.items() if k != "params"}
    # Zeros where training starts hide what lies before them: any other point will do. In NumPy: JAX compiles each shape anew.
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda a: a + 0.05 * rng.standard_normal(a.shape, np.float32), jax.device_get(params))
    batch, losses = batch_for(name, 4, objects=2), training_losses(trained_outputs(name))

    @jax.jit
    def gradient(params: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            outputs, new_state = apply_train(params, state, batch, key, model=model)
            return batch_loss(outputs, batch, losses)[0], new_state

        return jax.grad(loss, has_aux=True)(params)

    steps = [jax.device_get(gradient(params, step_key(0, "step", step))) for step in range(4)]  # dropout may hide a unit in one
    total = jax.tree.map(lambda *grads: np.abs(grads).sum(axis=0), *(grads for grads, _ in steps))
    new_state = steps[0][1]
    for path, value in jax.tree_util.tree_leaves_with_path(total):
        assert np.isfinite(value).all(), f"{jax.tree_util.keystr(path)} has a gradient that is not finite"
        assert np.abs(value).max() > 0, f"{jax.tree_util.keystr(path)} has no gradient"
    assert jax.tree.map(jnp.shape, new_state) == jax.tree.map(jnp.shape, state)


@pytest.mark.parametrize("name", trained_by_gradients())
def test_a_model_computes_in_bfloat16(name: str) -> None:
    model, variables = built(name)
    batch = batch_for(name)
    step = jax.jit(functools.partial(predict_step, model=model, dtype=jnp.bfloat16))
    for path, value in jax.tree_util.tree_leaves_with_path(step(variables, input_of(batch))):
        assert np.isfinite(value).all(), jax.tree_util.keystr(path)
        assert value.dtype in (jnp.float32, jnp.int32), jax.tree_util.keystr(path)

    def apply(params: Any) -> Any:
        half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
        rest = {k: v for k, v in variables.items() if k != "params"}
        inputs = jax.tree.map(lambda a: as_inputs(a, jnp.bfloat16) if a.dtype == np.uint8 else a, input_of(batch))
        return model.apply({"params": half, **rest}, inputs, train=False)

    raw = jax.eval_shape(apply, variables["params"])
    halves = [key for key, value in raw.items() if key not in DICT_OUTPUTS and value.dtype == jnp.bfloat16]
    assert halves, "somewhere in the model float32 takes over"


@pytest.mark.parametrize("name", registry.names("models"))
def test_a_model_has_a_default_for_every_field_and_a_smallest_form(name: str) -> None:
    module = registry.find("models", name)
    fields = {f: p for f, p in inspect.signature(module.Model).parameters.items() if f not in CALLER_FIELDS}
    assert all(p.default is not p.empty for p in fields.values())
    assert set(module.TINY) <= set(fields)
    assert inspect.getdoc(module.Model)
    sizes = sum(a.size for a in jax.tree.leaves(built(name)[1]))
    assert sizes < 300_000, f"TINY has {sizes} numbers"


def keyword_only_options(function: Any, positional: tuple[str, ...]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    assert tuple(k for k, p in parameters.items() if p.kind is not p.KEYWORD_ONLY) == positional
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def loss_and_outputs(name: str) -> tuple[Loss, Any]:
    loss = declared("losses", name, Loss)
    options = keyword_only_options(loss.function, ("outputs", "batch"))
    assert all(p.default is not p.empty for p in options.values())
    defaults = {key: p.default for key, p in options.items()}
    return loss, random_outputs({needed.format(**defaults): shape for needed, shape in loss.outputs.items()}, 5)


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_loss_gives_one_finite_number_an_example(name: str) -> None:
    loss, outputs = loss_and_outputs(name)
    batch, outputs = some_videos(5, objects=2), jax.tree.map(jnp.asarray, outputs)
    values = jax.jit(loss.function)(outputs, batch)
    assert values.shape == (5,)
    assert values.dtype == jnp.float32
    assert np.isfinite(values).all()
    assert loss.may_be_negative or (np.asarray(values) >= 0).all()
    gradient = jax.jit(jax.grad(lambda o: loss.function(o, batch).sum()))(outputs)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    assert any(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient))
    order = np.array([4, 2, 0, 1, 3])
    shuffled = jax.jit(loss.function)(jax.tree.map(lambda a: a[order], outputs), jax.tree.map(lambda a: a[order], batch))
    np.testing.assert_allclose(shuffled, values[order], rtol=1e-5)


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_loss_reads_the_truths_that_it_declares_and_no_others(name: str) -> None:
    loss, outputs = loss_and_outputs(name)
    batch, outputs = some_videos(5, objects=2), jax.tree.map(jnp.asarray, outputs)
    batch = batch._replace(object_mask_bxn=np.array([[True, True]] * 4 + [[True, False]]))
    rng = np.random.default_rng(9)
    others = {
        "images_bxhxwxc": 255 - batch.images_bxhxwxc, "boxes_bxnx4": batch.boxes_bxnx4[:, ::-1] * 0.5,
        "labels_bxn": (batch.labels_bxn + 1) % CLASSES,
        "object_mask_bxn": ~batch.object_mask_bxn, "label_b": (batch.label_b + 1) % CLASSES, "content_bx4": batch.content_bx4 * 0.5,
        "soft_label_bxk": rng.dirichlet(np.ones(CLASSES), 5).astype(np.float32), "frames_bxtxhxwxc": 255 - batch.frames_bxtxhxwxc,
        "tracks": Tracks(batch.tracks.boxes * np.float32(0.5), batch.tracks.present, 1 - batch.tracks.visible),
    }  # fmt: skip
    assert set(loss.truths) <= set(others)
    values = np.asarray(loss.function(outputs, batch))
    undeclared = batch._replace(**{field: value for field, value in others.items() if field not in loss.truths})
    np.testing.assert_array_equal(loss.function(outputs, undeclared), values)
    changed = loss.function(outputs, batch._replace(**{field: others[field] for field in loss.truths}))
    assert not np.array_equal(changed, values), "the truths that it declares change nothing"


@pytest.mark.parametrize("name", registry.names("losses.assignments"))
def test_an_assignment_gives_objects_to_locations(name: str) -> None:
    assign = registry.find("losses.assignments", name).assign
    rng, side = np.random.default_rng(0), 8
    y, x = np.mgrid[:side, :side].reshape(2, -1) / side
    cells = np.stack([x, y, x + 1 / side, y + 1 / side], axis=-1).astype(np.float32)
    scores = rng.uniform(0.1, 0.9, (side**2, CLASSES)).astype(np.float32)
    dense = DensePredictions(cells, scores, cells + np.float32([-0.1, -0.1, 0.1, 0.1]))
    boxes = np.float32([[0.1, 0.1, 0.45, 0.4], [0.5, 0.5, 0.9, 0.8], [0.6, 0.1, 0.61, 0.11], [0.0, 0.0, 1.0, 1.0]])
    labels, mask = np.array([0, 2, 1, 1]), np.array([True, True, True, False])
    assigned = jax.jit(assign)(dense, boxes, labels, mask)
    for array in assigned:
        assert array.shape == (side**2,)
    positive = np.asarray(assigned.quality_l) > 0
    assert set(np.asarray(assigned.object_l)[positive]) == {0, 1, 2}, "an object has no location, or one that is absent has some"
    assert assigned.quality_l.max() <= 1
    assert not (np.asarray(assigned.ignored_l) & positive).any()
    order = np.array([3, 2, 0, 1])  # of the objects does not matter
    again = jax.jit(assign)(dense, boxes[order], labels[order], mask[order])
    np.testing.assert_allclose(again.quality_l, assigned.quality_l, rtol=1e-6)
    np.testing.assert_array_equal(order[np.asarray(again.object_l)][positive], np.asarray(assigned.object_l)[positive])
    nothing = jax.jit(assign)(dense, boxes, labels, np.zeros(4, bool))
    assert not np.asarray(nothing.quality_l).any()
    assert not np.asarray(nothing.ignored_l).any()


@pytest.mark.parametrize("name", registry.names("losses.matchings"))
def test_a_matching_gives_each_object_a_step_of_its_own(name: str) -> None:
    match = jax.jit(registry.find("losses.matchings", name).match)
    rng = np.random.default_rng(0)
    places = np.float32([[0.05, 0.1], [0.25, 0.6], [0.45, 0.3], [0.65, 0.8], [0.85, 0.2], [0.55, 0.5]])
    guesses = np.concatenate([places, places + 0.1], axis=1)  # apart: near ones could be exchanged at the same L1 distance
    predictions = SetPredictions(rng.dirichlet(np.ones(CLASSES), 6).astype(np.float32), guesses)
    boxes, labels, mask = guesses[[4, 0, 1, 3]] + np.float32(0.01), np.array([0, 2, 1, 1]), np.array([True, False, True, True])
    steps = np.asarray(match(predictions, boxes, labels, mask))
    assert steps.shape == (4,)
    assert len(set(steps[mask].tolist()) & set(range(6))) == 3
    order = np.array([3, 1, 0, 2])  # of the objects does not matter
    again = np.asarray(match(predictions, boxes[order], labels[order], mask[order]))
    np.testing.assert_array_equal(again[mask[order]], steps[order][mask[order]])
    other = np.where(mask[:, None], boxes, np.float32([0, 0, 1, 1]))  # nor does padding
    np.testing.assert_array_equal(np.asarray(match(predictions, other, labels, mask))[mask], steps[mask])


@pytest.mark.parametrize("name", registry.names("models.set_decoders"))
def test_a_set_decoder_returns_a_state_and_an_attention_for_each_step(name: str) -> None:
    module = registry.find("models.set_decoders", name)
    decoder, memory = module.Decoder(**module.TINY), np.random.default_rng(0).random((2, 12, 5)).astype(np.float32)
    assert isinstance(decoder.is_sequential, bool)
    states, attention = decoder.init_with_output(jax.random.key(0), memory, 3, train=False)[0]
    assert states.shape == (2, 3, module.TINY["units"])
    np.testing.assert_allclose(attention.sum(axis=-1), np.ones((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("name", registry.names("models.backbones"))
def test_a_backbone_returns_maps_from_fine_to_coarse(name: str) -> None:
    module = registry.find("models.backbones", name)
    backbone, images = module.Backbone(**module.TINY), jnp.zeros((2, 64, 48, 1))
    maps = jax.eval_shape(lambda key: backbone.init_with_output(key, images, train=False)[0], jax.random.key(0))
    assert maps
    assert len(maps[-1].shape) == 5
    shapes = [each.shape[:1] + each.shape[-3:-1] for each in maps]
    assert all(shape[0] == 2 for shape in shapes)
    assert shapes == sorted(shapes, reverse=True)
    assert set(maps_by_stride(tuple(jnp.zeros(each.shape) for each in maps), images)) <= {2, 4, 8, 16, 32}


@pytest.mark.parametrize("name", registry.names("models.score_map_heads"))
def test_a_head_of_score_maps_returns_logits_and_a_map_for_each_class(name: str) -> None:
    head, rng = registry.find("models.score_map_heads", name).Head(), np.random.default_rng(0)
    maps = (rng.random((2, 10, 11, 3), np.float32), rng.random((2, 1, 5, 6, 4), np.float32))
    variables = head.init(jax.random.key(0), maps, CLASSES, label_b=None, train=False)
    outputs = head.apply(variables, maps, CLASSES, label_b=None, train=False)
    assert outputs["logits"].shape == (2, CLASSES)
    assert outputs["score_maps"].shape in ((2, 5, 6, CLASSES), (2, 10, 11, CLASSES))
    assert np.ptp(np.asarray(outputs["score_maps"]), axis=(1, 2)).min() > 0


def identical(a: Example, b: Example) -> bool:
    names = ("image_hxwxc", "boxes_nx4", "labels_n", "difficult_n", "crowd_boxes_mx4", "crowd_labels_m")
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)
    return arrays and (a.label, a.id, a.group) == (b.label, b.id, b.group)


def source_maker(name: str, request: pytest.FixtureRequest) -> Any:
    """A source's function; of one that reads what a user has prepared, on a small data set of that kind."""
    make = registry.find("data.sources", name).source
    if name == "tfds":
        return functools.partial(make, name="imagenet2012", folder=str(request.getfixturevalue("imagenet_folder")))
    if name == "video_folder":
        return functools.partial(make, folder=str(request.getfixturevalue("video_folder")))
    reads_folder = name in ("folder", "copy_paste")
    return functools.partial(make, folder=str(request.getfixturevalue("picture_folder"))) if reads_folder else make


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("name", registry.names("data.sources"))
def test_a_source_is_a_picklable_sequence_of_valid_examples(name: str, split: str, request: pytest.FixtureRequest) -> None:
    make = source_maker(name, request)
    options = keyword_only_options(registry.find("data.sources", name).source, ("split",))
    assert "seed" in options
    assert all(p.default is not p.empty for k, p in options.items() if k != "seed")
    source = make(split, seed=0)
    again, copy = make(split, seed=0), pickle.loads(pickle.dumps(source))
    assert len(source) > 0
    assert source.fingerprint == again.fingerprint == copy.fingerprint
    assert isinstance(source.fingerprint, str)
    assert source.fingerprint
    assert isinstance(source.groups, frozenset)
    assert source.info == again.info
    assert source.info.channels in (1, 3)
    assert len(set(source.info.classes)) > 1
    last = min(len(source), 10**6) - 1
    seen = set()
    for index in (last, 0, len(source) // 2, 1, 2):  # in no order
        example = source[index]
        assert identical(example, source[index])
        assert identical(example, again[index])
        assert identical(example, copy[index])
        assert example.image_hxwxc.dtype == np.uint8
        assert example.image_hxwxc.shape[2] == source.info.channels
        boxes = example.boxes_nx4
        assert boxes.shape == (len(example.labels_n), 4)
        assert boxes.dtype == np.float32
        assert (boxes >= 0).all()
        assert (boxes <= 1).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert 0 <= example.label < len(source.info.classes) or (example.label == -1 and not len(boxes) and not source.info.all_labelled)
        assert example.group in source.groups
        assert example.difficult_n is None or (example.difficult_n.shape, example.difficult_n.dtype) == (example.labels_n.shape, np.bool_)
        assert example.crowd_boxes_mx4.shape == (len(example.crowd_labels_m), 4)
        seen.add(example.id)
        if isinstance(source, Reducible):
            reduced = source.reduced(index, 1, 1)
            assert (reduced.truth.width, reduced.truth.height) == (example.truth.width, example.truth.height)
        if isinstance(source, TruthKnown):
            truth = source.known(index)
            assert (truth.label, truth.id) == (example.label, example.id)
            assert (truth.height, truth.width) == example.image_hxwxc.shape[:2]
            assert np.array_equal(truth.boxes_nx4, example.boxes_nx4)
            assert np.array_equal(truth.labels_n, example.labels_n)
            assert np.array_equal(truth.crowd_boxes_mx4, example.crowd_boxes_mx4)
    assert len(seen) == 5
    if isinstance(source, InMemory):
        indices, spec = np.array([last, 0, 2, 0]), InputSpec(example.image_hxwxc.shape, 3)
        taken = collate.fit_batch(source.take(indices), spec)
        stacked = collate.collate([source[int(i)] for i in indices], 4, spec)
        check_axes(stacked)
        arrays = zip(jax.tree.leaves(taken), jax.tree.leaves(stacked), strict=True)
        assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in arrays)


@pytest.mark.parametrize("name", registry.names("data.sources"))
def test_splits_share_no_group_and_only_training_may_be_endless(name: str, request: pytest.FixtureRequest) -> None:
    make = source_maker(name, request)
    train, validation, test = (make(split, seed=0) for split in ("train", "validation", "test"))
    assert not train.groups & test.groups
    assert not train.groups & validation.groups
    assert not validation.groups & test.groups
    assert not validation.info.endless
    assert not test.info.endless
    assert train.info.classes == validation.info.classes == test.info.classes
    assert len({train.fingerprint, validation.fingerprint, test.fingerprint}) == 3


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_a_task_turns_a_batch_into_rows_and_rows_into_what_is_shown(name: str) -> None:
    task = tasks()[name]
    batch = some_videos(3, objects=2)._replace(example_mask_b=np.array([True, True, False]))
    outputs = random_outputs(task.outputs, 3)
    rows = task_rows(task, outputs, batch, truths_of(batch))
    assert len(rows) == 2
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    classes = [f"class {k}" for k in range(CLASSES)]
    check_outputs(task, name, outputs, "a model", 3, CLASSES)
    for row in rows:
        answer = task.answer(row, classes, lambda box: tuple(64 * edge for edge in box))
        for line in (task.answer_json(answer, None), task.answer_json(answer, answer)):
            assert json.loads(json.dumps(line, allow_nan=False)) == line
            assert "path" not in line
        card = task.card(row, classes.__getitem__)
        assert card.true
        assert card.predicted
        for overlay in card.overlays:
            assert len(overlay.box) == 4
            assert overlay.kind in ("true", "predicted")
        for detection in task.detections(row):
            assert task.has_boxes
            assert 0 <= detection.label < CLASSES
            assert 0 <= detection.score <= 1
            assert len(detection.box) == 4
        if task.confusion is not None:
            assert all(0 <= label < CLASSES for label in task.confusion(row))
    rank_n = task.gallery_score(rows)
    assert rank_n.shape == (2,)
    assert np.isfinite(rank_n).all()
    for curve in task.curves:
        assert curve.values(rows).shape == (2,)
    metrics = scoring.means([{**row, "group": "a"} for row in rows])
    assert {*task.headline_metrics, task.best_metric} <= set(metrics)


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_partial_predictions_of_a_task_are_mapped_back_as_its_predictions_are(name: str) -> None:
    task, content = tasks()[name], np.array([[0.0, 0.25, 1.0, 0.75]], np.float32)
    outputs = random_outputs({**task.outputs, **task.optional_outputs}, 1)
    moments = {key: np.repeat(value[:, None], 2, axis=1) for key, value in outputs.items()}
    for key, value in task.partial_to_image(moments, content).items():
        assert value.shape == moments[key].shape
        assert not np.array_equal(value, moments[key])


@pytest.mark.parametrize("name", registry.names("evaluation.metrics"))
def test_a_metric_gives_its_numbers_from_its_columns(name: str) -> None:
    family = declared("evaluation.metrics", name, MetricFamily)
    keys = [metric.key for metric in family.metrics]
    assert all(metric.title and metric.meaning and metric.title != metric.key for metric in family.metrics)
    tables = [*map(rows_of, registry.names("tasks")), random_rows(np.random.default_rng(0), 30)]
    tables = [rows for rows in tables if all(column in rows[0] for column in family.columns)]
    assert tables, "no task writes these columns"
    above_0 = family.weighted is None
    for table in tables:
        rows = [{column: row[column] for column in (*family.columns, "id", "group")} for row in table]
        weights = np.random.default_rng(0).integers(0, 3, len(rows))
        repeated = [row for row, weight in zip(rows, weights, strict=True) for _ in range(int(weight))]
        if family.weighted is not None:
            check_weighted(family, keys, [{**row, **distinct_scores(row, i)} for i, row in enumerate(rows)], weights)
            above_0 |= any(value[0] > 0 for value in family.weighted(rows).values(np.ones((1, len(rows)))).values())
            continue
        compute = family.per_row or family.statistics
        assert compute is not None
        values = compute(rows)
        assert list(values) == keys
        for metric in family.metrics:
            array = values[metric.key]
            assert array.shape[0] == 30
            assert np.issubdtype(array.dtype, np.floating)
            assert not np.isnan(array).all()
            np.testing.assert_array_equal(compute(rows[::-1])[metric.key], array[::-1])
            np.testing.assert_array_equal(compute(rows[3:4])[metric.key], array[3:4])
            # A row of weight 2 is a row that is there twice, one of weight 0 is not there.
            sums = scoring.statistics(rows)[metric.key]
            assert metric.value(weights @ sums) == pytest.approx(metric.value(scoring.statistics(repeated)[metric.key].sum(axis=0)))
            assert np.isnan(metric.value(np.zeros(sums.shape[1]))), "a sample without rows has no value"
    assert above_0, "everything is 0"


def distinct_scores(row: dict[str, Any], i: int) -> dict[str, Any]:
    """Scores without ties, whose order nothing defines."""
    return {"detected_scores": [1 - (k + i / 97) / 200 for k in range(len(row["detected_scores"]))]} if "detected_scores" in row else {}


def check_weighted(family: MetricFamily, keys: list[str], rows: list[dict[str, Any]], weights: np.ndarray) -> None:
    """A row of weight 2 is a row that is there twice, one of weight 0 is not there, and the order of rows changes nothing."""
    assert family.weighted is not None
    found = family.weighted(rows)
    several = np.stack([np.ones(len(rows)), weights, np.zeros(len(rows))])
    values = found.values(several)
    assert [key for key in values if "/" not in key] == keys
    assert set(values) <= set(found.counts)
    repeated = [row for row, weight in zip(rows, weights, strict=True) for _ in range(int(weight))]
    whole, other = family.weighted(rows[::-1]), family.weighted(repeated)
    backward, again = whole.values(np.ones((1, len(rows)))), other.values(np.ones((1, len(repeated))))
    for key, value_r in values.items():
        metric, _, label = key.partition("/class/")
        assert metric in keys
        assert not label or label.isdigit()
        assert value_r.shape == (3,)
        assert value_r[0] == pytest.approx(backward[key][0], nan_ok=True)
        assert value_r[1] == pytest.approx(again[key][0] if key in again else np.nan, nan_ok=True)
        assert np.isnan(value_r[2]), "a sample without rows has no value"
        assert 0 < found.counts[key] <= len(rows)
        assert found.values(several[1:2])[key] == value_r[1] or np.isnan(value_r[1]), "samples do not depend on each other"


def test_no_two_metrics_share_a_name() -> None:
    keys = [
        metric.key for name in registry.names("evaluation.metrics") for metric in declared("evaluation.metrics", name, MetricFamily).metrics
    ]
    assert len(keys) == len(set(keys))
    assert "/" not in "".join(keys)


@pytest.mark.parametrize("name", registry.names("evaluation.slicings"))
def test_a_slicing_gives_masks_of_rows(name: str) -> None:
    slicing = declared("evaluation.slicings", name, Slicing)
    rows = [{**row, "attributes": {"light": "day" if i % 2 else "night"}} for i, row in enumerate(rows_of("localize"))]
    masks = slicing.parts(rows, [f"class {k}" for k in range(CLASSES)])
    assert masks
    assert slicing.title
    assert slicing.meaning
    assert "/" not in slicing.key
    for mask in masks.values():
        assert mask.shape == (30,)
        assert mask.dtype == np.bool_
        assert mask.any()


@pytest.mark.parametrize("name", registry.names("evaluation.baselines"))
def test_a_baseline_gives_the_outputs_of_its_tasks_from_what_json_holds(name: str) -> None:
    baseline = declared("evaluation.baselines", name, Baseline)
    batch, rng = some_batch(4, objects=2), np.random.default_rng(0)
    truths = [Truth(batch.boxes_bxnx4[i], batch.labels_bxn[i], int(rng.integers(CLASSES)), str(i)) for i in range(4)]
    for known in (truths, []):
        fitted = baseline.fit(known, CLASSES)
        assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted
        outputs = baseline.predict(fitted, batch)
        for key in baseline.tasks:
            task = tasks()[key]
            expected = dataclasses.replace(task, outputs=task.baseline_outputs or task.outputs)
            check_outputs(expected, key, outputs, name, 4, CLASSES)
            assert len(task_rows(task, outputs, batch, truths_of(batch))) == 4
        blank = batch._replace(images_bxhxwxc=np.zeros_like(batch.images_bxhxwxc))
        jax.tree.map(np.testing.assert_array_equal, baseline.predict(fitted, blank), outputs)
    assert baseline.tasks
    assert baseline.title
    assert baseline.meaning


@pytest.mark.parametrize("name", registry.names("evaluation.baselines"))
def test_a_baseline_does_not_depend_on_how_images_are_resized(name: str) -> None:
    baseline = declared("evaluation.baselines", name, Baseline)
    batch = some_batch(4, objects=2)
    letterboxed = batch._replace(content_bx4=np.tile(np.array([0, 0.25, 1, 0.75], np.float32), (4, 1)))
    truths = truths_of(batch)
    fitted = baseline.fit(truths, CLASSES)
    for key in baseline.tasks:
        rows, others = (task_rows(tasks()[key], baseline.predict(fitted, each), each, truths) for each in (batch, letterboxed))
        assert len(rows) == len(others) == 4
        for row, other in zip(rows, others, strict=True):
            for column in row:
                np.testing.assert_allclose(np.asarray(row[column], np.float64), np.asarray(other[column], np.float64), atol=1e-6)


@pytest.mark.parametrize("name", registry.names("data.batch_transforms"))
def test_a_batch_transform_is_a_pure_function_of_batch_and_key(name: str) -> None:
    transform = registry.find("data.batch_transforms", name).transform
    options = keyword_only_options(transform, ("batch", "key"))
    assert all(p.default is not p.empty for k, p in options.items() if k != "num_classes")
    if "num_classes" in options:
        transform = functools.partial(transform, num_classes=CLASSES)
    batch = some_batch(4, objects=2)._replace(example_mask_b=np.array([True, True, True, False]))
    first, again = (jax.jit(transform)(batch, jax.random.key(1)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    others = [jax.jit(transform)(batch, jax.random.key(number)) for number in range(2, 6)]
    assert any(not np.array_equal(first.images_bxhxwxc, other.images_bxhxwxc) for other in others)
    check_axes(first)
    for before, after in zip(batch[:7], first[:7], strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    np.testing.assert_array_equal(first.example_mask_b, batch.example_mask_b)
    assert (first.soft_label_bxk is not None) <= ("num_classes" in options)
    if first.soft_label_bxk is not None:
        assert first.soft_label_bxk.shape == (4, CLASSES)
        np.testing.assert_allclose(np.asarray(first.soft_label_bxk).sum(axis=-1), 1, rtol=1e-5)


def test_the_axes_of_a_batch_are_checked() -> None:
    check_axes(some_batch(4, objects=2))
    for wrong in (
        {"labels_bxn": np.zeros((4, 3), np.int32)},
        {"label_b": np.zeros(4, np.int64)},
        {"boxes_bxnx4": np.zeros((4, 2), np.float32)},
    ):
        with pytest.raises(AssertionError):
            check_axes(some_batch(4, objects=2)._replace(**wrong))


def test_every_room_offers_something() -> None:
    assert {room: bool(registry.names(room)) for room in registry.ROOMS} == dict.fromkeys(registry.ROOMS, True)


@pytest.mark.parametrize("task", registry.names("tasks"))
@pytest.mark.parametrize("name", registry.names("inference.exports"))
def test_an_export_format_writes_text_under_relative_names(name: str, task: str) -> None:
    export = declared("inference.exports", name, Export)
    rows = [ImageRow(f"images/{number}.png", 40, 30, row) for number, row in enumerate(rows_of(task))]
    files = export.files(rows, [f"class {k}" for k in range(CLASSES)], tasks()[task])
    assert export.meaning
    assert files
    for path, text in files.items():
        assert isinstance(text, str)
        assert not path.startswith("/")
        assert ".." not in path.split("/")
    assert export.files(rows, [f"class {k}" for k in range(CLASSES)], tasks()[task]) == files
