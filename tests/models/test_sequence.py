"""A recurrent network over an image read as a sequence; the published LSTM, initialized as in Keras."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from flax.core import freeze

from imgloc.errors import UserError
from imgloc.models import sequence

PUBLISHED = {"cell": {"name": "lstm", "activation": "relu", "kernel_init": "joint"}, "features": 50}
IMAGES = np.random.default_rng(0).random((3, 4, 28, 1), np.float32)  # four rows are enough here


@functools.cache
def _built(fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    model = sequence.Model(num_classes=10, **{**PUBLISHED, **fields})
    outputs, variables = jax.jit(lambda key: model.init_with_output(key, IMAGES, train=False))(jax.random.key(3))
    params = variables["params"]
    return jax.device_get(({**params["stack"]["layer0"], "classes": params["classes"]}, outputs))


def built(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of the recurrent and the dense layer, and the outputs of the model."""
    return _built(freeze(fields))


def test_parameters_are_initialized_as_in_keras() -> None:
    params, _ = built()
    kernel, recurrent, bias = params["kernel"], params["recurrent_kernel"], params["bias"]
    assert {name: np.shape(a) for name, a in params.items() if name != "classes"} == {
        "kernel": (28, 200), "recurrent_kernel": (50, 200), "bias": (200,),
    }  # fmt: skip
    for drawn in (kernel, params["classes"]["kernel"]):
        limit = np.sqrt(6 / sum(drawn.shape))
        assert 0.95 * limit < np.abs(drawn).max() <= limit
        assert drawn.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(50), atol=1e-5)
    np.testing.assert_array_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], 50))  # input, forget, candidate, output
    assert not params["classes"]["bias"].any()


def test_elman_s_parameters_have_no_gates() -> None:
    params, _ = built(cell="elman")
    np.testing.assert_allclose(params["recurrent_kernel"] @ params["recurrent_kernel"].T, np.eye(50), atol=1e-5)
    assert params["kernel"].shape == (28, 50)
    assert not params["bias"].any()


def test_the_class_depends_on_the_last_state_alone() -> None:
    params, found = built()
    assert found["features"]["states"].shape == (3, 4, 50)
    dense = params["classes"]
    np.testing.assert_allclose(found["logits"], found["features"]["states"][:, -1] @ dense["kernel"] + dense["bias"], rtol=1e-5, atol=1e-6)
    assert (found["features"]["states"] >= 0).all(), "relu"


def test_the_class_depends_on_the_last_state_of_each_direction() -> None:
    params, found = built(cell="elman", bidirectional=True)
    states, dense = found["features"]["states"], params["classes"]
    ends = np.concatenate([states[:, -1, :25], states[:, 0, 25:]], axis=-1)
    np.testing.assert_allclose(found["logits"], ends @ dense["kernel"] + dense["bias"], rtol=1e-5, atol=1e-5)
    assert np.abs(states[:, -1, 25:] - states[:, 0, 25:]).max() > 0.1, "the backward state of the last row has read one row"


@pytest.mark.parametrize(
    "fields",
    [
        {"cell": "elman"},
        {"cell": {"name": "lstm", "kernel_init": "joint"}},
        {"scan_order": "columns"},
        {"scan_order": "permuted_pixels"},
        {"layers": 2},
    ],
)
def test_fields_change_the_prediction(fields: dict[str, Any]) -> None:
    assert np.abs(built()[1]["logits"] - built(**fields)[1]["logits"]).max() > 1e-4


def test_unknown_choices_are_refused() -> None:
    for fields in ({"cell": "grru"}, {"cell": {"name": "lstm", "activation": "relu6"}}, {"scan_order": "row"}, {"pooling": "first"}):
        with pytest.raises(UserError, match="possible"):
            built(**fields)
