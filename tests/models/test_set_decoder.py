"""The set decoder: objects one by one until it stops, partial predictions of it, and its parallel control."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from imgloc.models.set_decoder import TINY, VARIANTS, Model
from tests.refusals import assert_refused

IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 32, 40, 1)).astype(np.float32)
FORMS = {"recurrent": TINY, "gru": VARIANTS["gru"], "queries": {**VARIANTS["queries"], "stop_below": 0.99}}


@functools.cache
def variables_of(form: str) -> Any:
    model = Model(num_classes=4, **FORMS[form])
    return jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), IMAGES)


def predictor(form: str, **fields: Any) -> Callable[[Any], Any]:
    """A compiled function from variables to the outputs for the images."""
    model = Model(num_classes=4, **{**FORMS[form], **fields})
    apply = jax.jit(functools.partial(model.apply, train=False))
    return lambda variables: jax.device_get(apply(variables, IMAGES))


@functools.cache
def outputs_of(form: str, **fields: Any) -> Any:
    return predictor(form, **fields)(variables_of(form))


@pytest.mark.parametrize("form", FORMS)
def test_the_number_of_outputs_is_that_of_the_steps_and_attention_sums_to_1(form: str) -> None:
    outputs, steps = outputs_of(form), TINY["max_detections"]
    assert {name: outputs[name].shape for name in ("boxes", "scores", "labels")} == {
        "boxes": (3, steps, 4),
        "scores": (3, steps),
        "labels": (3, steps),
    }
    attention = outputs["features"]["attention"]
    assert attention.shape == (3, steps, 8, 10)
    np.testing.assert_allclose(attention.sum(axis=(2, 3)), 1, rtol=1e-5)
    assert ("partial_predictions" in outputs) == (form != "queries")


def test_scores_are_the_probability_of_an_object_times_that_of_its_class() -> None:
    outputs = outputs_of("recurrent")
    exponent = np.exp(outputs["object_logits"].astype(np.float64))
    probability = exponent / exponent.sum(axis=-1, keepdims=True)
    presence = 1 / (1 + np.exp(-outputs["object_presence"].astype(np.float64)))
    np.testing.assert_allclose(outputs["scores"], presence * probability.max(axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(outputs["labels"], probability.argmax(axis=-1))
    np.testing.assert_array_equal(outputs["boxes"], outputs["object_boxes"])


def test_the_decoder_stops_before_the_first_step_that_probably_has_no_object() -> None:
    predict, variables = predictor("recurrent", stop_below=0.5), jax.tree.map(lambda a: a, variables_of("recurrent"))
    presence = variables["params"]["head"]["presence"]
    presence["kernel"] = -presence["kernel"]  # the probability falls from step to step
    presence["bias"] = -np.median(predict(variables)["object_presence"], keepdims=True)[0]  # half of them are below 0.5
    outputs = predict(variables)
    stopped = np.logical_or.accumulate(outputs["object_presence"] < 0, axis=1)
    assert 0 < stopped[:, 1:].sum() < stopped.size
    assert (stopped[:, 1:] & ~stopped[:, :-1]).any(), "no image stops after its first step"
    for name in ("scores", "labels", "boxes"):
        assert not outputs[name][stopped].any()
    np.testing.assert_array_equal(outputs["boxes"][~stopped], outputs["object_boxes"][~stopped])
    assert (outputs["scores"][~stopped] > 0).all()
    assert (outputs_of("queries")["scores"] > 0).all(), "queries do not follow each other"


def test_partial_predictions_name_the_objects_one_by_one() -> None:
    outputs = outputs_of("recurrent")
    partial = outputs["partial_predictions"]
    for step in range(TINY["max_detections"]):
        for name in ("boxes", "scores", "labels"):
            np.testing.assert_array_equal(partial[name][:, step, : step + 1], outputs[name][:, : step + 1])
            assert not partial[name][:, step, step + 1 :].any()
    attention = outputs["features"]["attention"][:, 0]
    np.testing.assert_allclose(partial["seen"][:, 0], attention / attention.max(axis=(1, 2), keepdims=True), rtol=1e-6)


def test_a_step_depends_on_the_ones_before_but_not_on_their_number() -> None:
    short, long = outputs_of("recurrent"), outputs_of("recurrent", max_detections=8)
    np.testing.assert_allclose(long["object_boxes"][:, : TINY["max_detections"]], short["object_boxes"], rtol=1e-5)
    assert not np.allclose(short["features"]["attention"][:, 0], short["features"]["attention"][:, 1], rtol=1e-4)


def test_fields_out_of_range_are_refused() -> None:
    for fields, *message in (
        ({"stop_below": 1.5}, "model.stop_below must be from 0 to 1"),
        ({"max_detections": 65}, "model.max_detections must be at most 64"),
        ({"decoder": {"name": "recurrent", "cell": "rnn"}}, "cell (model.decoder.cell)", "gru, lstm"),
        ({"decoder": {"name": "queries", "units": 9, "heads": 2}}, "model.decoder.units must be a multiple of model.decoder.heads (2)"),
    ):
        model = Model(num_classes=4, **{**TINY, **fields})
        assert_refused(lambda model=model: jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), IMAGES), *message)
