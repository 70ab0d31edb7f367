"""The seed's LSTM: initialized as Keras does, and equal to the recurrence of `imgloc.ops` with its kernels split by gate."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models import seed_lstm
from imgloc.ops.recurrent import GATES, LSTM

IMAGES = np.random.default_rng(0).random((3, 4, 28, 1), np.float32)  # four rows are enough here


@functools.cache
def made(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and the outputs that they give."""
    model = seed_lstm.Model(num_classes=10, **fields)
    outputs, variables = jax.jit(lambda key: model.init_with_output(key, IMAGES, train=False))(jax.random.key(3))
    return jax.device_get((variables["params"], outputs))


def test_parameters_are_drawn_as_keras_draws_them() -> None:
    params, _ = made()
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
    params, _ = made(cell="elman")
    np.testing.assert_allclose(params["recurrent_kernel"] @ params["recurrent_kernel"].T, np.eye(50), atol=1e-5)
    assert params["kernel"].shape == (28, 50)
    assert not params["bias"].any()


def test_it_is_the_lstm_of_ops_with_one_kernel_a_gate() -> None:
    params, ours = made()
    split = {name: np.split(params[name], 4, axis=-1) for name in ("kernel", "recurrent_kernel", "bias")}
    apart = {f"i{gate}": {"kernel": kernel} for gate, kernel in zip(GATES, split["kernel"], strict=True)}
    for gate, kernel, bias in zip(GATES, split["recurrent_kernel"], split["bias"], strict=True):
        apart[f"h{gate}"] = {"kernel": kernel, "bias": bias}
    theirs = jax.jit(LSTM(50, nn.relu).apply)({"params": apart}, IMAGES[..., 0])
    np.testing.assert_allclose(theirs, ours["features"]["rows"], rtol=1e-5, atol=1e-6)


def test_the_class_is_read_from_the_last_state_alone() -> None:
    params, found = made()
    assert found["features"]["rows"].shape == (3, 4, 50)
    dense = params["classes"]
    np.testing.assert_allclose(found["logits"], found["features"]["rows"][:, -1] @ dense["kernel"] + dense["bias"], rtol=1e-5, atol=1e-6)
    assert (found["features"]["rows"] >= 0).all(), "relu"


@pytest.mark.parametrize("fields", [{"cell": "elman"}, {"activation": "tanh"}])
def test_fields_change_what_it_says(fields: dict[str, Any]) -> None:
    assert np.abs(made()[1]["logits"] - made(**fields)[1]["logits"]).max() > 1e-4


def test_unknown_choices_are_told() -> None:
    for fields in ({"cell": "gru"}, {"activation": "relu6"}):
        with pytest.raises(UserError, match="possible"):
            made(**fields)
