"""The published Keras programs: imgloc's models have the same outputs and Adam steps for the same weights (needs the extra `bench`)."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from imgloc.config import schema
from imgloc.losses import cross_entropy
from imgloc.models import sequence, three_layer_cnn
from imgloc.nn.apply import predict_step
from imgloc.training import step
from imgloc.training.objective import WeightedLoss
from imgloc.training.optim import make_optimizer
from imgloc.types import Batch
from tests import processes

needs_keras = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")
STEPS = 20
# Runs in a new process, as Keras chooses its backend when it is imported.
PUBLISHED = """
import pickle, sys
import numpy as np
from keras import Input, Sequential, layers, losses, optimizers, utils
name, out = sys.argv[1:]
cell = layers.SimpleRNN if name == "elman" else layers.LSTM
if name == "cnn":
    model = Sequential([
        Input((224, 224, 3)),
        layers.Conv2D(32, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Conv2D(128, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(1000, activation="softmax"),
    ])
else:
    model = Sequential([Input((28, 28)), cell(50, activation="relu"), layers.Dense(10, activation="softmax")])
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (3, 224, 224, 3) if name == "cnn" else (32, 28, 28), dtype=np.uint8)
labels = rng.integers(0, 10, len(images))
weights = [np.asarray(w) + 0.01 * rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()]  # so that no bias is 0
model.set_weights(weights)
inputs = images.astype(np.float32) / 255
result = {"images": images, "labels": labels, "weights": weights, "outputs": np.asarray(model.predict(inputs, verbose=0)), "losses": []}
if name != "cnn":
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    for _ in range(STEPS):
        result["losses"].append(float(model.train_on_batch(inputs, utils.to_categorical(labels, 10))))
with open(out, "wb") as file:
    pickle.dump(result, file)
"""


def run_keras(name: str, folder: Path) -> dict[str, Any]:
    """Runs a published program; returns its images, labels, weights, outputs, and the losses of some steps."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    code = PUBLISHED.replace("STEPS", str(STEPS))
    command = [sys.executable, "-c", code, name, str(folder / "result")]
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = pickle.loads((folder / "result").read_bytes())
    return result


def probabilities(model: Any, params: Any, images: np.ndarray) -> np.ndarray:
    logits = jax.jit(lambda p: predict_step({"params": p}, images, model=model)["logits"])(params)
    return np.asarray(jax.nn.softmax(logits))


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(np.log(ours), np.log(theirs), atol=1e-4)  # each of 1,000 classes has about 1e-3, so the check above is weak
    assert np.abs(theirs - theirs[:1]).max() > 1e-4, "all outputs are alike, so the comparison is meaningless"


@needs_keras
def test_the_three_layer_cnn_has_keras_s_outputs(tmp_path: Path) -> None:
    keras = run_keras("cnn", tmp_path)
    names = ("Conv_0", "Conv_1", "Conv_2", "Dense_0", "classes")
    pairs = zip(keras["weights"][::2], keras["weights"][1::2], strict=True)
    params = {name: {"kernel": kernel, "bias": bias} for name, (kernel, bias) in zip(names, pairs, strict=True)}
    assert_same(probabilities(three_layer_cnn.Model(num_classes=1000, locate=False), params, keras["images"]), keras["outputs"])


@needs_keras
@pytest.mark.parametrize("cell", ["lstm", "elman"])
def test_recurrent_networks_have_keras_s_outputs_and_losses(cell: str, tmp_path: Path) -> None:
    keras = run_keras(cell, tmp_path)
    kernel, recurrent, bias, dense, dense_bias = keras["weights"]
    layer = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
    params = {"stack": {"layer0": layer}, "classes": {"kernel": dense, "bias": dense_bias}}
    model, images = sequence.Model(num_classes=10, cell={"name": cell, "activation": "relu"}, features=50), keras["images"][..., None]
    assert_same(probabilities(model, params, images), keras["outputs"])

    optim = schema.base().optim
    optim.update(schedule="constant", eps=1e-7)  # as in the recipes
    optimizer, _ = make_optimizer(optim, STEPS)
    size = len(images)
    batch = Batch(
        images, np.zeros((size, 1, 4), np.float32), np.zeros((size, 1), np.int32), np.zeros((size, 1), bool),
        keras["labels"].astype(np.int32), np.ones(size, bool), np.tile(np.array([0, 0, 1, 1], np.float32), (size, 1)),
    )  # fmt: skip
    state = jax.jit(lambda: step.init_state(0, shape=images.shape[1:], model=model, optimizer=optimizer, ema_decay=0.0))()
    state = state._replace(params=jax.tree.map(jax.numpy.asarray, params))
    losses = (WeightedLoss("cross_entropy", 1.0, cross_entropy.loss),)
    one_step = jax.jit(lambda s: step.train_step(s, batch, model=model, losses=losses, optimizer=optimizer))
    ours = []
    for _ in range(STEPS):
        state, metrics = one_step(state)
        ours.append(float(metrics["loss"]))
    assert keras["losses"][-1] < 0.98 * keras["losses"][0]
    np.testing.assert_allclose(ours, keras["losses"], rtol=1e-3)  # Keras adds its epsilon before the bias correction
