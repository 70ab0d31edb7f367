"""The seed's formulas, written out in NumPy loops, against the layers that compute them.

What is called convolution in networks, and in `imgloc.nn.conv`, is a cross-correlation: the kernel
lies on the image as it is stored. A true convolution flips it in both directions first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from imgloc.losses import cross_entropy
from imgloc.models import sequence, three_layer_cnn
from imgloc.nn.conv import Conv
from imgloc.nn.pool import average_pool, max_pool
from imgloc.tasks import classify
from imgloc.types import Batch

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((2, 7, 6, 2)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 2, 2, 4)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def relu(x: float) -> float:
    return max(0.0, x)


def softmax(scores: Any) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def correlation(image: np.ndarray, kernel: np.ndarray, y: int, x: int, output: int) -> float:
    """sum over u, v, c of image[y + u, x + v, c] kernel[u, v, c, output]"""
    return sum(float(image[y + u, x + v, c]) * float(kernel[u, v, c, output]) for u, v, c in product(*map(range, kernel.shape[:3])))


def true_convolution(image: np.ndarray, kernel: np.ndarray, y: int, x: int, output: int) -> float:
    """sum over u, v, c of image[y' - u, x' - v, c] kernel[u, v, c, output], with y', x' where the kernel's last element meets y, x"""
    last_y, last_x = y + kernel.shape[0] - 1, x + kernel.shape[1] - 1
    return sum(
        float(image[last_y - u, last_x - v, c]) * float(kernel[u, v, c, output]) for u, v, c in product(*map(range, kernel.shape[:3]))
    )


def everywhere(sum_at: Callable[..., float], kernel: np.ndarray, stride: int) -> np.ndarray:
    """The sum at each place of each image where the kernel fits in."""
    rows, columns = range(0, 7 - kernel.shape[0] + 1, stride), range(0, 6 - kernel.shape[1] + 1, stride)
    return np.array([[[[sum_at(i, kernel, y, x, o) + BIAS[o] for o in range(4)] for x in columns] for y in rows] for i in IMAGES])


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_is_a_sum_over_the_kernel_that_does_not_flip_it(stride: int) -> None:
    layer = Conv(4, (3, 2), (stride, stride), padding="VALID")

    def output(kernel: np.ndarray) -> Any:
        return jax.jit(layer.apply)({"params": {"kernel": kernel, "bias": BIAS}}, IMAGES)

    summed = everywhere(correlation, KERNEL, stride)
    assert summed.shape == output(KERNEL).shape
    np.testing.assert_allclose(output(KERNEL), summed, rtol=1e-5, atol=1e-5)
    flipped = everywhere(true_convolution, KERNEL, stride)
    assert np.abs(output(KERNEL) - flipped).max() > 1, "a true convolution is something else"
    np.testing.assert_allclose(output(KERNEL[::-1, ::-1]), flipped, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("pool", "of_window"), [(max_pool, max), (average_pool, lambda window: sum(window) / len(window))])
def test_pooling_takes_the_largest_or_the_mean_of_each_window(pool: Any, of_window: Callable[..., float]) -> None:
    found = np.asarray(jax.jit(lambda x: pool(x, (2, 2)))(IMAGES))
    assert found.shape == (2, 3, 3, 2)
    for i, y, x, c in product(*map(range, found.shape)):
        window = [float(IMAGES[i, 2 * y + u, 2 * x + v, c]) for u, v in product(range(2), range(2))]
        assert found[i, y, x, c] == pytest.approx(of_window(window), abs=1e-6)


def test_a_sigmoid_layer_is_one_over_one_plus_e_to_the_minus_x() -> None:
    model = three_layer_cnn.Model(num_classes=3, channels=(), hidden=5, activation="sigmoid", locate=False)
    variables = jax.jit(lambda key: model.init(key, IMAGES, train=False))(jax.random.key(0))
    dense = jax.device_get(variables["params"]["Dense_0"])
    found = np.asarray(model.apply(variables, IMAGES, train=False)["features"]["dense"])
    for image, states in zip(IMAGES.reshape(2, -1), found, strict=True):
        for k in range(5):
            total = sum(float(x) * float(w) for x, w in zip(image, dense["kernel"][:, k], strict=True)) + float(dense["bias"][k])
            assert states[k] == pytest.approx(sigmoid(total), abs=1e-6)
    assert np.ptp(found) > 0.1


def test_probabilities_and_cross_entropy_are_those_of_the_softmax() -> None:
    logits = (3 * RNG.standard_normal((4, 5))).astype(np.float32)
    labels = np.array([0, 3, 4, 1], np.int32)
    nothing = np.zeros((4, 1), np.int32)
    batch = Batch(np.zeros((4, 1, 1, 1), np.uint8), nothing[..., None], nothing, nothing > 0, labels, np.ones(4, bool), nothing)
    losses = np.asarray(cross_entropy.loss({"logits": logits}, batch))
    predictions = classify.TASK.postprocess({"logits": logits}, np.tile(np.float32([0, 0, 1, 1]), (4, 1)))
    for i, row in enumerate(classify.TASK.prediction_columns(predictions, i) for i in range(4)):
        probabilities = softmax(logits[i].tolist())
        for label, score in zip(row["top_labels"], row["top_scores"], strict=True):
            assert score == pytest.approx(probabilities[label], abs=1e-6)
        assert losses[i] == pytest.approx(-math.log(probabilities[labels[i]]), rel=1e-5)


def product_sum(matrix: np.ndarray, vector: list[float], column: int) -> float:
    """Element `column` of W x, with W as layers store it: an input a row, an output a column."""
    return sum(float(matrix[k, column]) * value for k, value in enumerate(vector))


def recurrent_model(cell: str, activation: str) -> tuple[Any, dict[str, Any], np.ndarray]:
    """A seed LSTM or Elman network of 4 units over rows of 6 pixels x 2 channels, with no parameter left at 0 or 1."""
    model = sequence.Model(num_classes=3, cell={"name": cell, "activation": activation}, features=4)
    drawn = jax.jit(lambda key: model.init(key, IMAGES, train=False))(jax.random.key(1))["params"]
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda a: np.asarray(a) + 0.3 * rng.standard_normal(a.shape).astype(np.float32), drawn)
    return jax.device_get(jax.jit(lambda p: model.apply({"params": p}, IMAGES, train=False))(params)), params, IMAGES.reshape(2, 7, 12)


def check_outputs(found: Any, i: int, states: list[list[float]], params: dict[str, Any]) -> None:
    """The states after each row, and y = g(V h + c) of the last, g the softmax."""
    np.testing.assert_allclose(found["features"]["states"][i], states, rtol=1e-4, atol=1e-5)
    dense = params["classes"]
    scores = [product_sum(dense["kernel"], states[-1], k) + float(dense["bias"][k]) for k in range(3)]
    np.testing.assert_allclose(nn.softmax(found["logits"][i]), softmax(scores), rtol=1e-4)


@pytest.mark.parametrize(("name", "f"), [("relu", relu), ("tanh", math.tanh)])
def test_elman_is_h_t_of_f_of_w_x_t_plus_u_h_before(name: str, f: Callable[[float], float]) -> None:
    found, params, rows = recurrent_model("elman", name)
    w, u, bias = (params["stack"]["layer0"][name] for name in ("kernel", "recurrent_kernel", "bias"))
    for i in range(2):
        h, states = [0.0] * 4, []
        for x in rows[i].tolist():
            h = [f(product_sum(w, x, k) + product_sum(u, h, k) + float(bias[k])) for k in range(4)]
            states.append(h)
        check_outputs(found, i, states, params)


@pytest.mark.parametrize(("name", "f"), [("relu", relu), ("tanh", math.tanh)])
def test_the_lstm_keeps_what_its_gates_let_through(name: str, f: Callable[[float], float]) -> None:
    """i, f, o = sigmoid(...), g = act(...), c_t = f c_{t-1} + i g, h_t = o act(c_t), each of W x_t + U h_{t-1} + b of its own."""
    found, params, rows = recurrent_model("lstm", name)
    w, u, bias = (params["stack"]["layer0"][name] for name in ("kernel", "recurrent_kernel", "bias"))
    for i in range(2):
        h, c, states = [0.0] * 4, [0.0] * 4, []
        for x in rows[i].tolist():
            total = [product_sum(w, x, k) + product_sum(u, h, k) + float(bias[k]) for k in range(16)]
            gate_in, forget, candidate, gate_out = total[:4], total[4:8], total[8:12], total[12:]
            c = [sigmoid(forget[k]) * c[k] + sigmoid(gate_in[k]) * f(candidate[k]) for k in range(4)]
            h = [sigmoid(gate_out[k]) * f(c[k]) for k in range(4)]
            states.append(h)
        check_outputs(found, i, states, params)
