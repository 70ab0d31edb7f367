"""The works in Keras on JAX: `train_on_batch`, and Keras's stateless step in jax.jit without its trainer.

The process must be started with KERAS_BACKEND=jax. The stateless step follows Keras's guide "Writing a training loop from scratch in JAX".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import keras
import numpy as np

from benchmarks.keras_models import make_model
from benchmarks.measure import Prepared
from benchmarks.works import Work

Run: TypeAlias = Callable[[int], None]


def make(work: Work, implementation: str, *, platform: str) -> Prepared:
    """Returns a work with its model and a batch of float images."""
    if keras.backend.backend() != "jax":
        raise RuntimeError(f"Keras runs on {keras.backend.backend()}, not on JAX (KERAS_BACKEND)")
    keras.utils.set_random_seed(0)
    if platform != "cpu":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = make_model(work)
    parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    rng = np.random.default_rng(0)
    images = jax.device_put(rng.random((work.batch, work.size, work.size, work.channels), np.float32))
    labels = jax.device_put(rng.integers(0, work.classes, work.batch).astype(np.int32))
    if not work.train:
        return Prepared(_forward(model, images), parameters)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-3)
    train = _on_batch if implementation == "keras" else _inner
    return Prepared(train(model, optimizer, loss, images, labels), parameters)


def _forward(model: Any, images: jax.Array) -> Run:
    trained, others = ([v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables))
    call = jax.jit(lambda trained, others, x: model.stateless_call(trained, others, x, training=False)[0])

    def run(calls: int) -> None:
        for _ in range(calls):
            out = call(trained, others, images)
        jax.block_until_ready(out)

    return run


def _on_batch(model: Any, optimizer: Any, loss: Any, images: jax.Array, labels: jax.Array) -> Run:
    model.compile(optimizer=optimizer, loss=loss)

    def run(calls: int) -> None:
        for _ in range(calls):
            model.train_on_batch(images, labels)  # returns the loss as a number, so it has waited
        jax.block_until_ready([v.value for v in model.trainable_variables])

    return run


def _inner(model: Any, optimizer: Any, loss: Any, images: jax.Array, labels: jax.Array) -> Run:
    optimizer.build(model.trainable_variables)

    def loss_of(trained: Any, others: Any, x: Any, y: Any) -> tuple[Any, Any]:
        logits, others = model.stateless_call(trained, others, x, training=True)
        return loss(y, logits), others

    def one_step(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        trained, others, slots = state
        (value, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained, others, x, y)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        return (trained, others, slots), value

    call = jax.jit(one_step, donate_argnums=0)
    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    # These arrays are donated, so they must not be the model's.
    holder = [tuple([jax.numpy.copy(v.value) for v in variables] for variables in groups)]

    def run(calls: int) -> None:
        for _ in range(calls):
            holder[0], value = call(holder[0], images, labels)
        jax.block_until_ready((holder[0], value))

    return run
