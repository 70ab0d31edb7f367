"""Partial predictions of recurrent models: they depend only on the part that has been read, and the last one is the final prediction."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
import scipy.special

from imgloc.models import localizer, recurrent, sequence
from imgloc.models.backbones import conv_lstm
from imgloc.nn import partial_predictions
from imgloc.nn.apply import apply_train, predict_step
from imgloc.types import DICT_OUTPUTS, Batch

IMAGES = np.random.default_rng(0).random((2, 6, 5, 1), np.float32)


@functools.cache
def built(kind: Any, **fields: Any) -> tuple[Any, Any, Any]:
    """A model, random parameters that are not zero, and its outputs for IMAGES."""
    model = kind.Model(num_classes=3, **{**kind.TINY, **fields})
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), IMAGES, train=False))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda a: 0.5 * rng.standard_normal(a.shape, np.float32), variables)
    return model, variables, outputs_of(model, variables, IMAGES)


def outputs_of(model: Any, variables: Any, images: Any, *, train: bool = False) -> Any:
    return jax.device_get(jax.jit(functools.partial(model.apply, train=train))(variables, images))


@pytest.mark.parametrize(("count", "at_most"), [(1, 5), (5, 5), (28, 28), (64, 28), (784, 28), (784, 64), (7, 3)])
def test_steps_are_evenly_spaced_and_the_last_is_among_them(count: int, at_most: int) -> None:
    found = partial_predictions.evenly_spaced_steps(count, at_most)
    assert len(found) == min(count, at_most)
    assert found[-1] == count - 1
    gaps = np.diff([-1, *found])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_partial_prediction_is_that_of_an_image_of_the_rows_read_by_then(pooling: str) -> None:
    model, variables, found = built(sequence, pooling=pooling)
    assert found["partial_predictions"]["logits"].shape == (2, 6, 3)
    for i in (0, 3):
        stopped = outputs_of(model, variables, IMAGES[:, : i + 1])
        np.testing.assert_allclose(found["partial_predictions"]["logits"][:, i], stopped["logits"], rtol=1e-4, atol=1e-5)
    assert np.abs(np.diff(found["partial_predictions"]["logits"], axis=1)).max() > 1e-2


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(sequence, {"scan_order": "permuted_pixels"}), (sequence, {"scan_order": "columns", "pooling": "mean"}), (recurrent, {})],
    ids=["pixels", "columns", "rows then columns"],
)
def test_unread_pixels_change_no_partial_prediction_and_the_last_one_is_final(kind: Any, fields: Any) -> None:
    model, variables, found = built(kind, **fields)
    forming = found["partial_predictions"]
    for name in set(forming) - {"seen"}:
        np.testing.assert_array_equal(forming[name][:, -1], found[name])
    seen = forming["seen"][0]
    assert (forming["seen"] == seen).all()
    assert (seen[-1] == 1).all()
    assert (np.diff(seen, axis=0) >= 0).all()
    assert seen[0].min() == 0
    for step in (0, len(seen) // 3):
        ahead = np.broadcast_to(seen[step] == 0, (6, 5))
        changed = outputs_of(model, variables, np.where(ahead[None, :, :, None], 1 - IMAGES, IMAGES))["partial_predictions"]
        for name in set(forming) - {"seen"}:
            np.testing.assert_array_equal(changed[name][:, : step + 1], forming[name][:, : step + 1])
            assert np.abs(changed[name][:, -1] - forming[name][:, -1]).max() > 1e-4


def expected(params: Any, found: Any, read_rows: int, read_columns: int) -> tuple[Any, Any]:
    """logits and box from the rows and columns read by then, in NumPy."""

    def edges(states: Any, dense: Any, read: int, count: int) -> tuple[Any, Any, Any]:
        if not read:
            return np.tile([0.0, 1.0], (2, 1)), np.zeros((2, 2 * states.shape[-1])), np.zeros((2, states.shape[-1]))
        seen = states[:, :read]
        weight = scipy.special.softmax(seen @ dense["kernel"] + dense["bias"], axis=1)
        positions = np.einsum("bte,t->be", weight, np.arange(read) / (count - 1))
        return positions, np.concatenate([np.einsum("bt,btd->bd", weight[..., e], seen) for e in (0, 1)], axis=-1), seen[:, -1]

    y, at_y, last_y = edges(found["features"]["rows"], params["row_edges"], read_rows, 6)
    x, at_x, last_x = edges(found["features"]["columns"], params["column_edges"], read_columns, 5)
    apply = lambda dense, a: a @ dense["kernel"] + dense["bias"]  # noqa: E731
    summary = np.maximum(apply(params["Dense_0"], np.concatenate([last_y, last_x, at_y, at_x], axis=-1)), 0)
    box = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=-1) + 0.1 * np.tanh(apply(params["shift"], summary))
    low, high = np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])
    low = np.clip(low, 0, 1 - 1e-3)
    return apply(params["classes"], summary), np.concatenate([low, np.minimum(np.maximum(high, low + 1e-3), 1)], axis=-1)


@pytest.mark.parametrize("step", range(11))
def test_rows_then_columns_predict_from_the_lines_read_by_then(step: int) -> None:
    _, variables, found = built(recurrent)
    rows, columns = min(step + 1, 6), max(step - 5, 0)
    logits, box = expected(variables["params"], found, rows, columns)
    np.testing.assert_allclose(found["partial_predictions"]["logits"][:, step], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["partial_predictions"]["box"][:, step], box, rtol=1e-4, atol=1e-5)
    half = np.zeros((6, 5))
    half[:rows] += 0.5
    half[:, :columns] += 0.5
    np.testing.assert_array_equal(found["partial_predictions"]["seen"][0, step], half)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_bidirectional_models_have_no_partial_predictions(pooling: str) -> None:
    assert "partial_predictions" not in built(sequence, bidirectional=True, pooling=pooling)[2]


def cost(model: Any, variables: Any, images: Any, *, scored: bool) -> float:
    """Operations of a compiled prediction; with `scored`, of the outputs that scoring uses."""

    def call(variables: Any, images: Any) -> Any:
        outputs = predict_step(variables, images, model=model)
        return {name: value for name, value in outputs.items() if not scored or name not in DICT_OUTPUTS}

    return float(jax.jit(call).lower(variables, images).compile().cost_analysis()["flops"])


@pytest.mark.parametrize("kind", [sequence, recurrent])
def test_training_and_scoring_do_not_compute_them(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, variables, _ = built(kind)
    boxes, one = np.zeros((2, 1, 4), np.float32), np.ones((2, 1), bool)
    batch = Batch((255 * IMAGES).astype(np.uint8), boxes, np.zeros((2, 1), np.int32), one, np.zeros(2, np.int32), one[:, 0], boxes[:, 0])
    given = model, variables, batch.images_bxhxwxc
    whole, without = cost(*given, scored=False), cost(*given, scored=True)
    training = functools.partial(apply_train, variables["params"], {}, batch, model=model)
    assert "partial_predictions" not in jax.eval_shape(training, jax.random.key(0))[0]

    apply = type(model).__call__
    # A model without partial predictions: this one in training, as it has no dropout.
    monkeypatch.setattr(type(model), "__call__", lambda self, images, *, train: apply(self, images, train=True))
    assert cost(*given, scored=True) == without < whole


def test_scoring_computes_the_last_pass_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = localizer.Model(num_classes=3, **localizer.VARIANTS["conv_lstm"])
    images = jax.ShapeDtypeStruct((2, 16, 16, 1), np.uint8)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros(images.shape, np.float32), train=False))
    whole, without = (cost(model, variables, images, scored=scored) for scored in (False, True))

    call = conv_lstm.Backbone.__call__

    def last_pass(*args: Any, train: bool) -> Any:
        fine, last = call(*args, train=train)
        return fine, last[:, -1:]

    monkeypatch.setattr(conv_lstm.Backbone, "__call__", last_pass)
    assert cost(model, variables, images, scored=True) == without < whole
