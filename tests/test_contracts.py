"""The contract of each room, for every file found in it: a new file is tested by being there."""

from __future__ import annotations

import functools
import inspect
import json
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.config import registry
from imgloc.config.build import HANDED_OVER
from imgloc.config.schema import base
from imgloc.data.batches import input_spec
from imgloc.devices import runtime
from imgloc.inference.outputs import check_outputs
from imgloc.losses import box_l1, cross_entropy
from imgloc.nn.apply import apply_train, as_inputs, predict_step
from imgloc.training.objective import WeightedLoss, batch_loss
from imgloc.training.optim import make_optimizer
from imgloc.training.step import init_state, key_of
from imgloc.types import Batch, Example, InMemory, TruthKnown
from imgloc.types import DICT_OUTPUTS

CLASSES = 3
SHAPE = (64, 64, 1)


def some_batch(b: int = 2, objects: int = 1) -> Batch:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.4, (b, objects, 2))
    return Batch(
        rng.integers(0, 256, (b, *SHAPE), dtype=np.uint8),
        np.concatenate([low, low + rng.uniform(0.2, 0.6, (b, objects, 2))], axis=-1).astype(np.float32),
        rng.integers(0, CLASSES, (b, objects)).astype(np.int32), np.ones((b, objects), bool),
        rng.integers(0, CLASSES, b).astype(np.int32), np.ones(b, bool), np.tile(np.array([0, 0, 1, 1], np.float32), (b, 1)),
    )  # fmt: skip


def forms() -> list[str]:
    """The models, and as `model/variant` what else they say they can be, in VARIANTS: fields by name."""
    found = registry.names("models")
    return found + [f"{name}/{variant}" for name in found for variant in getattr(registry.find("models", name), "VARIANTS", {})]


@functools.cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of TINY fields, or of a variant's, and its variables, initialized the way training does."""
    name, _, variant = name.partition("/")
    module = registry.find("models", name)
    model = module.Model(num_classes=CLASSES, **(module.VARIANTS[variant] if variant else module.TINY))
    optimizer, _ = make_optimizer(base().optim, 10)
    init = functools.partial(init_state, shape=SHAPE, model=model, optimizer=optimizer, ema_decay=0.0)
    state = jax.jit(init, compiler_options=runtime.compiler_options_once())(0)
    return model, {"params": state.params, **state.model_state}


@functools.cache
def predicted(name: str) -> dict[str, Any]:
    model, variables = built(name)
    return jax.device_get(jax.jit(functools.partial(predict_step, model=model))(variables, some_batch().images_bxhxwxc))


def boxes_of(outputs: Any) -> list[str]:
    """The outputs that are boxes: (b, 4), and no class scores."""
    found = [k for k, v in outputs.items() if k not in DICT_OUTPUTS and v.ndim == 2 and v.shape[1] == 4]
    return [k for k in found if "logits" not in k]


@pytest.mark.parametrize("name", forms())
def test_a_model_gives_finite_outputs_and_valid_boxes(name: str) -> None:
    outputs = predicted(name)
    assert outputs["logits"].shape == (2, CLASSES)
    for path, value in jax.tree_util.tree_leaves_with_path(outputs):
        assert np.isfinite(value).all(), jax.tree_util.keystr(path)
        assert (len(value), value.dtype) == (2, np.float32), jax.tree_util.keystr(path)
    for box in boxes_of(outputs):
        low, high = outputs[box][:, :2], outputs[box][:, 2:]
        assert (low >= 0).all(), box
        assert (high >= low).all(), box
        assert (high <= 1).all(), box
    assert not np.array_equal(outputs["logits"][0], outputs["logits"][1]), "the image has no say"
    check_outputs("classify", outputs, name, 2, CLASSES)
    check_steps(outputs)


def check_steps(outputs: Any) -> None:
    """Where a model has steps: not too many to be looked at, what has been read stays read, and the last one is its answer, bit for bit."""
    forming = dict(outputs.get("steps", {}))
    seen = forming.pop("seen", np.ones((2, 1, 1, 1)))
    assert seen.shape[1] <= 64
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert (np.diff(seen, axis=1) >= 0).all()
    assert (seen[:, -1].max(axis=(1, 2)) == 1).all()
    if "looks" in forming:
        np.testing.assert_array_equal(forming.pop("looks"), outputs["looks"])
    for key, value in forming.items():
        np.testing.assert_array_equal(value[:, -1], outputs[key])


@pytest.mark.parametrize("name", registry.names("models"))
def test_a_models_answer_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    model, variables = built(name)
    together = predicted(name)
    alone = jax.jit(functools.partial(predict_step, model=model))(variables, some_batch().images_bxhxwxc[1:])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1:], b, rtol=1e-4, atol=1e-5), together, dict(alone))


def training_losses(name: str, outputs: Any) -> list[WeightedLoss]:
    """What a model's outputs are held to, and the losses without which some of it would not learn (`LOSSES` of its module)."""
    losses = getattr(registry.find("models", name), "LOSSES", {})
    own = [WeightedLoss(loss, 1.0, registry.find("losses", loss).loss) for loss, output in losses.items()
           if output in {**outputs, **outputs["features"]}]  # fmt: skip
    boxes = [WeightedLoss(box, 1.0, functools.partial(box_l1.loss, output=box)) for box in boxes_of(outputs)]
    return [WeightedLoss("cross_entropy", 1.0, cross_entropy.loss), *boxes, *own]


@pytest.mark.parametrize("name", forms())
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    model, variables = built(name)
    params = variables["params"]
    state = {k: v for k, v in variables.items() if k != "params"}
    # Zeros where training starts hide what lies before them: any other point will do. In NumPy: JAX compiles each shape anew.
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda a: a + 0.05 * rng.standard_normal(a.shape, np.float32), jax.device_get(params))
    batch, losses = some_batch(4, objects=2), training_losses(name.partition("/")[0], predicted(name))

    @jax.jit
    def gradient(params: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            outputs, new_state = apply_train(params, state, batch, key, model=model)
            return batch_loss(outputs, batch, losses)[0], new_state

        return jax.grad(loss, has_aux=True)(params)

    steps = [jax.device_get(gradient(params, key_of(0, "step", step))) for step in range(4)]  # dropout may hide a unit in one
    total = jax.tree.map(lambda *grads: np.abs(grads).sum(axis=0), *(grads for grads, _ in steps))
    new_state = steps[0][1]
    for path, value in jax.tree_util.tree_leaves_with_path(total):
        assert np.isfinite(value).all(), f"{jax.tree_util.keystr(path)} has a gradient that is not finite"
        assert np.abs(value).max() > 0, f"{jax.tree_util.keystr(path)} has no gradient"
    assert jax.tree.map(jnp.shape, new_state) == jax.tree.map(jnp.shape, state)


@pytest.mark.parametrize("name", forms())
def test_a_model_computes_in_bfloat16(name: str) -> None:
    model, variables = built(name)
    batch = some_batch()
    step = jax.jit(functools.partial(predict_step, model=model, dtype=jnp.bfloat16))
    for path, value in jax.tree_util.tree_leaves_with_path(step(variables, batch.images_bxhxwxc)):
        assert np.isfinite(value).all(), jax.tree_util.keystr(path)
        assert value.dtype == jnp.float32, jax.tree_util.keystr(path)

    def apply(params: Any) -> Any:
        half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
        rest = {k: v for k, v in variables.items() if k != "params"}
        return model.apply({"params": half, **rest}, as_inputs(batch.images_bxhxwxc, jnp.bfloat16), train=False)

    raw = jax.eval_shape(apply, variables["params"])
    assert raw["logits"].dtype == jnp.bfloat16, "somewhere in the model float32 takes over"


@pytest.mark.parametrize("name", registry.names("models"))
def test_a_model_has_a_default_for_every_field_and_a_smallest_form(name: str) -> None:
    module = registry.find("models", name)
    fields = {f: p for f, p in inspect.signature(module.Model).parameters.items() if f not in HANDED_OVER}
    assert all(p.default is not p.empty for p in fields.values())
    assert set(module.TINY) <= set(fields)
    assert inspect.getdoc(module.Model)
    sizes = sum(a.size for a in jax.tree.leaves(built(name)[1]))
    assert sizes < 300_000, f"TINY has {sizes} numbers"


def keyword_only_options(function: Any, positional: tuple[str, ...]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    assert tuple(k for k, p in parameters.items() if p.kind is not p.KEYWORD_ONLY) == positional
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", registry.names("losses"))
def test_a_loss_gives_one_finite_number_an_example(name: str) -> None:
    loss = registry.find("losses", name).loss
    options = keyword_only_options(loss, ("outputs", "batch"))
    assert all(p.default is not p.empty for p in options.values())
    batch = some_batch(5, objects=2)
    outputs = {"logits": jnp.asarray(np.random.default_rng(1).standard_normal((5, CLASSES)), jnp.float32)}
    outputs["box"] = jnp.asarray(some_batch(5)[1][:, 0] * 0.9)
    outputs["score"] = jnp.linspace(0.1, 0.9, 5)
    if name == "sequence":
        outputs["sequence"] = jnp.asarray(np.random.default_rng(2).standard_normal((5, 2, CLASSES)), jnp.float32)
    outputs["features"] = {"log_probability": -jnp.ones((5, 2)), "baselines": jnp.full((5, 2), 0.3), "means": jnp.full((5, 2, 2), 0.4)}
    found = jax.jit(loss)(outputs, batch)
    assert found.shape == (5,)
    assert found.dtype == jnp.float32
    assert np.isfinite(found).all()
    assert getattr(registry.find("losses", name), "SIGNED", False) or (np.asarray(found) >= 0).all()
    gradient = jax.jit(jax.grad(lambda o: loss(o, batch).sum()))(outputs)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    assert any(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient))
    order = np.array([4, 2, 0, 1, 3])
    shuffled = jax.jit(loss)(jax.tree.map(lambda a: a[order], outputs), Batch(*(a[order] for a in batch)))
    np.testing.assert_allclose(shuffled, found[order], rtol=1e-5)


def identical(a: Example, b: Example) -> bool:
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("image_hxwxc", "boxes_nx4", "labels_n"))
    return arrays and (a.label, a.id, a.group) == (b.label, b.id, b.group)


def source_maker(name: str, request: pytest.FixtureRequest) -> Any:
    """A source's function; of one that reads what a user has prepared, on a small data set of that kind."""
    make = registry.find("data.sources", name).source
    if name == "tfds":
        return functools.partial(make, name="imagenet2012", folder=str(request.getfixturevalue("imagenet_folder")))
    return functools.partial(make, folder=str(request.getfixturevalue("picture_folder"))) if name == "folder" else make


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
        assert 0 <= example.label < len(source.info.classes)
        assert example.group in source.groups
        seen.add(example.id)
        if isinstance(source, TruthKnown):
            truth = source.known(index)
            assert (truth.label, truth.id) == (example.label, example.id)
            assert (truth.height, truth.width) == example.image_hxwxc.shape[:2]
            assert np.array_equal(truth.boxes_nx4, example.boxes_nx4)
            assert np.array_equal(truth.labels_n, example.labels_n)
    assert len(seen) == 5
    if isinstance(source, InMemory):
        indices, seen = np.array([last, 0, 2, 0]), input_spec.View(example.image_hxwxc.shape, 3)
        taken = input_spec.fitted(source.take(indices), seen)
        stacked = input_spec.stack([source[int(i)] for i in indices], 4, seen)
        assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(taken, stacked, strict=True))


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
def test_a_task_turns_a_batch_into_rows_that_json_holds(name: str) -> None:
    module = registry.find("tasks", name)
    assert isinstance(module.NEEDS, tuple)
    assert all(isinstance(need, str) for need in module.NEEDS)
    batch = some_batch(3, objects=2)._replace(example_mask_b=np.array([True, True, False]))
    outputs = {"logits": np.eye(3, dtype=np.float32), "box": batch.boxes_bxnx4[:, 0], "score": np.ones(3, np.float32)}
    outputs["sequence"] = np.ones((3, 2, 3), np.float32)
    rows = module.rows({need: outputs[need] for need in module.NEEDS}, batch)
    assert len(rows) == 2
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert all({"label", "boxes", "labels"} <= set(row) for row in rows)
    assert [row["label"] for row in rows] == batch.label_b[:2].tolist()


def table() -> list[dict[str, Any]]:
    """Rows with every column that tasks write."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(30):
        row: dict[str, Any] = {"id": f"{i:02d}", "group": f"g{i // 2}", "split": "test", "label": int(rng.integers(CLASSES))}
        box = [0.1, 0.1, float(rng.uniform(0.5, 0.9)), 0.8]
        row |= {"boxes": [box] if i % 5 else [], "labels": [row["label"]] if i % 5 else [], "top_labels": rng.permutation(CLASSES).tolist()}
        row |= {"top_scores": [0.6, 0.3, 0.1], "pred_box": [0.1, 0.1, 0.7, 0.8], "read": [i % CLASSES]}
        row["looks"] = [[-0.1, 0.2, 0.4, 0.7], [low := float(rng.uniform(-0.2, 0.9)), low, low + 0.2, low + 0.2]]
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", registry.names("evaluation.metrics"))
def test_a_metric_gives_its_numbers_from_its_columns(name: str) -> None:
    module = registry.find("evaluation.metrics", name)
    rows = [{column: row[column] for column in (*module.COLUMNS, "id", "group")} for row in table()]
    assert hasattr(module, "per_row") or hasattr(module, "overall")
    if hasattr(module, "per_row"):
        found = module.per_row(rows)
        backwards = module.per_row(rows[::-1])
        assert found
        for key, values in found.items():
            assert values.shape == (30,), key
            assert np.issubdtype(values.dtype, np.floating), key
            assert np.isfinite(values[~np.isnan(values)]).all()
            assert not np.isnan(values).all()
            np.testing.assert_array_equal(backwards[key], values[::-1])
            np.testing.assert_array_equal(module.per_row(rows[3:4])[key], values[3:4])
    if hasattr(module, "overall"):
        for key in module.OVERALL:
            whole = module.overall(rows, key, np.ones(len(rows)))
            assert isinstance(whole, float)
            # A row of weight 2 is a row that is there twice, one of weight 0 is not there.
            weights = np.random.default_rng(0).integers(0, 3, len(rows)).astype(float)
            repeated = [row for row, weight in zip(rows, weights, strict=True) for _ in range(int(weight))]
            assert module.overall(rows, key, weights) == pytest.approx(module.overall(repeated, key, np.ones(len(repeated))))


def test_no_two_metrics_share_a_name() -> None:
    found: list[str] = []
    for name in registry.names("evaluation.metrics"):
        module = registry.find("evaluation.metrics", name)
        found += [*(module.per_row(table()) if hasattr(module, "per_row") else ()), *getattr(module, "OVERALL", ())]
    assert len(found) == len(set(found))
    assert "/" not in "".join(found)


def test_every_room_offers_something() -> None:
    assert {room: bool(registry.names(room)) for room in registry.ROOMS} == dict.fromkeys(registry.ROOMS, True)
