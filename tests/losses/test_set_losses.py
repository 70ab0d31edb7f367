"""Losses of a set decoder: matchings against SciPy and by hand, their invariances, and what their gradients reach."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc import boxes
from imgloc.losses import set_box, set_class, set_presence
from imgloc.losses.geometry.set_targets import SetPredictions, cheapest_steps, matched_batch
from imgloc.losses.matchings import hungarian, large_to_small, left_to_right, reinspect
from imgloc.types import Batch
from tests.refusals import assert_refused

STEPS, OBJECTS, CLASSES = 5, 4, 3
MATCHINGS = {"hungarian": hungarian, "large_to_small": large_to_small, "left_to_right": left_to_right, "reinspect": reinspect}


def some_boxes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    low = rng.uniform(0, 0.6, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(0.1, 0.4, (*shape, 2))], axis=-1).astype(np.float32)


def example(seed: int = 0, b: int = 6) -> tuple[dict[str, jax.Array], Batch]:
    """Outputs and a batch whose images have 0, 1, ... objects at random places among the padding."""
    rng = np.random.default_rng(seed)
    mask = rng.permuted(np.arange(OBJECTS) < np.arange(b)[:, None] % (OBJECTS + 1), axis=1)
    outputs = {
        "object_logits": rng.normal(size=(b, STEPS, CLASSES)).astype(np.float32),
        "object_boxes": some_boxes(rng, b, STEPS),
        "object_presence": rng.normal(size=(b, STEPS)).astype(np.float32),
    }
    blank = np.zeros(b, np.int32)
    labels = rng.integers(0, CLASSES, (b, OBJECTS)).astype(np.int32)
    truth = some_boxes(rng, b, OBJECTS), labels, mask
    return jax.tree.map(jnp.asarray, outputs), Batch(
        np.zeros((b, 1, 1, 1), np.uint8), *truth, blank, blank == 0, np.zeros((b, 4), np.float32)
    )


@jax.jit
def every_loss(outputs: Any, batch: Batch) -> dict[str, tuple[jax.Array, ...]]:
    """The values [b] of the three losses by matching."""
    return {name: tuple(module.loss(outputs, batch, matching=name) for module in (set_class, set_box, set_presence)) for name in MATCHINGS}


match_cost = jax.jit(jax.vmap(cheapest_steps))


@given(st.integers(0, 2**31), st.sampled_from([1.0, 1e3]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_steps_are_those_of_scipys_assignment(seed: int, scale: float, with_ties: bool) -> None:
    rng = np.random.default_rng(seed)
    cost = (scale * rng.normal(size=(8, OBJECTS, STEPS))).astype(np.float32)
    cost = np.round(cost) if with_ties else cost
    mask = rng.random((8, OBJECTS)) < 0.7
    found = np.asarray(match_cost(cost, mask))
    for costs, kept, steps in zip(cost, mask, found, strict=True):
        assert len(set(steps.tolist())) == OBJECTS
        rows, columns = scipy.optimize.linear_sum_assignment(costs[kept])
        lowest = costs[kept][rows, columns].sum()
        assert costs[kept, steps[kept]].sum() == pytest.approx(lowest, rel=1e-5, abs=1e-4)
        if not with_ties:
            np.testing.assert_array_equal(steps[kept], columns)


def test_costs_that_are_not_finite_end_the_search() -> None:
    cost = np.full((8, OBJECTS, STEPS), np.nan, np.float32)
    cost[0, :, 0], cost[1, 2] = np.inf, -np.inf
    assert all(len(set(steps)) == OBJECTS for steps in np.asarray(match_cost(cost, np.ones((8, OBJECTS), bool))).tolist())


def test_the_cost_of_the_hungarian_matching_is_that_of_its_equation() -> None:
    outputs, batch = example(3)
    predictions = SetPredictions(jax.nn.softmax(outputs["object_logits"]), outputs["object_boxes"])
    steps_bxn = np.asarray(jax.jit(jax.vmap(hungarian.match))(predictions, batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn))
    for i in range(6):
        probability = scipy.special.softmax(np.asarray(outputs["object_logits"][i], np.float64), axis=-1)
        guess, cost = np.asarray(outputs["object_boxes"][i]), np.zeros((OBJECTS, STEPS))
        for n in range(OBJECTS):
            for m in range(STEPS):
                a, b = guess[m], batch.boxes_bxnx4[i, n]
                sizes = np.concatenate([(a[:2] + a[2:] - b[:2] - b[2:]) / 2, (a[2:] - a[:2]) - (b[2:] - b[:2])])
                cost[n, m] = 5 * np.abs(sizes).sum() - 2 * boxes.giou(a, b) - probability[m, batch.labels_bxn[i, n]]
        kept = batch.object_mask_bxn[i]
        np.testing.assert_array_equal(steps_bxn[i, kept], scipy.optimize.linear_sum_assignment(cost[kept])[1])


def test_reinspect_prefers_an_object_that_is_found_then_early_steps_then_near_boxes() -> None:
    truth = jnp.array([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    match = jax.jit(reinspect.match)
    far, near = [0.4, 0.0, 0.5, 0.1], [0.1, 0.1, 0.2, 0.45]

    def steps(*guesses: list[float]) -> list[int]:
        predictions = SetPredictions(jnp.ones((len(guesses), 1)), jnp.array(guesses))
        return match(predictions, truth, jnp.zeros(2, jnp.int32), jnp.ones(2, bool)).tolist()

    assert steps(far, far, far, far) == [0, 1], "objects that no step finds are those of the first steps"
    assert steps(far, far, [0.6, 0.6, 0.9, 0.9], near) == [3, 2], "a step that finds an object keeps it, however late it is"
    assert steps(near, far, [0.1, 0.1, 0.3, 0.3], far) == [0, 1], "of two steps that find an object, the earlier one counts"
    assert steps([0.7, 0.2, 0.8, 0.3], far, far, far) == [1, 0], "then the distance decides"


@pytest.mark.parametrize("name", ["left_to_right", "large_to_small"])
def test_a_fixed_order_gives_the_losses_computed_by_hand(name: str) -> None:
    outputs, batch = example(1)
    classes, places, presence = every_loss(outputs, batch)[name]
    for i in range(6):
        logits, guess, raw = (np.asarray(outputs[f"object_{key}"][i], np.float64) for key in ("logits", "boxes", "presence"))
        objects = [(batch.boxes_bxnx4[i, n], batch.labels_bxn[i, n]) for n in np.flatnonzero(batch.object_mask_bxn[i])]
        keys = {"left_to_right": lambda box: box[0] + box[2], "large_to_small": lambda box: -(box[2] - box[0]) * (box[3] - box[1])}
        objects.sort(key=lambda each: keys[name](each[0]))
        entropy, distance = 0.0, 0.0
        for step, (box, label) in enumerate(objects):
            entropy -= np.log(scipy.special.softmax(logits[step])[label])
            low, high = (guess[step] - box)[:2], (guess[step] - box)[2:]
            distance += 5 * (np.abs(low + high) / 2 + np.abs(high - low)).sum() + 2 * (1 - boxes.giou(guess[step], box.astype(np.float64)))
        target = np.arange(STEPS) < len(objects)
        p = scipy.special.expit(raw)
        assert classes[i] == pytest.approx(entropy / max(len(objects), 1), rel=1e-4)
        assert places[i] == pytest.approx(distance / max(len(objects), 1), rel=1e-4)
        assert presence[i] == pytest.approx(-np.where(target, np.log(p), np.log(1 - p)).mean(), rel=1e-4)


def test_the_order_of_the_objects_changes_no_loss_and_that_of_the_steps_only_some() -> None:
    outputs, batch = example(2)
    before = every_loss(outputs, batch)
    order = np.array([2, 0, 3, 1])
    objects = {name: getattr(batch, name)[:, order] for name in ("boxes_bxnx4", "labels_bxn", "object_mask_bxn")}
    after = every_loss(outputs, batch._replace(**objects))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), after, before)
    other_steps = every_loss({name: value[:, np.array([4, 2, 0, 1, 3])] for name, value in outputs.items()}, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), other_steps["hungarian"], before["hungarian"])
    for name in ("left_to_right", "large_to_small", "reinspect"):
        assert not np.allclose(other_steps[name][1], before[name][1]), f"{name} does not depend on the order of the steps"


def test_the_matched_box_loss_is_at_most_that_of_a_fixed_order() -> None:
    outputs, batch = example(4)
    # Equal classes, so that the matching minimizes 5 L1 - 2 GIoU, the box loss up to a constant.
    values = every_loss({**outputs, "object_logits": jnp.zeros_like(outputs["object_logits"])}, batch)
    for name in ("left_to_right", "large_to_small"):
        assert (values["hungarian"][1] <= values[name][1] + 1e-4).all()
        assert (values["hungarian"][1] < values[name][1] - 1e-2).any()


def test_padding_changes_nothing_and_gradients_are_finite_and_reach_only_the_steps_with_an_object() -> None:
    outputs, batch = example(5)
    padding = ~batch.object_mask_bxn
    other = batch._replace(
        boxes_bxnx4=np.where(padding[..., None], np.float32([0.2, 0.3, 0.9, 0.8]), batch.boxes_bxnx4),
        labels_bxn=np.where(padding, 2, batch.labels_bxn).astype(np.int32),
    )
    jax.tree.map(np.testing.assert_array_equal, every_loss(outputs, other), every_loss(outputs, batch))

    def loss(outputs: Any, name: str) -> jax.Array:
        return sum(module.loss(outputs, batch, matching=name).sum() for module in (set_class, set_box, set_presence))

    @jax.jit
    def learned(outputs: Any) -> dict[str, Any]:
        return {name: (matched_batch(outputs, batch, name).has_object_m, jax.grad(loss)(outputs, name)) for name in MATCHINGS}

    for has_object_bxm, gradient in jax.device_get(learned(outputs)).values():
        np.testing.assert_array_equal(has_object_bxm.sum(axis=1), batch.object_mask_bxn.sum(axis=1))
        assert all(np.isfinite(value).all() for value in gradient.values())
        for key in ("object_logits", "object_boxes"):
            np.testing.assert_array_equal(np.abs(gradient[key]).max(axis=-1) > 0, has_object_bxm)
        assert (gradient["object_presence"] != 0).all(), "every step learns whether it has an object"


def test_an_image_may_not_have_more_objects_than_the_model_has_steps() -> None:
    outputs, batch = example()
    short = {name: value[:, :3] for name, value in outputs.items()}
    assert_refused(lambda: set_box.loss(short, batch), "model.max_detections must be at least 4", "data.max_objects", "got 3")
