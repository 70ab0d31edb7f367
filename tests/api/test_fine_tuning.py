"""A trained model in other JAX code: fine-tuned with plain optax, as the documentation shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np
import optax

import imgloc
from imgloc.data.sources.scattered_digits import source


def test_a_model_is_fine_tuned_in_plain_optax(evaluated_run: Path) -> None:
    examples = [source("train", seed=0)[index] for index in range(16)]
    images = np.stack([example.image_hxwxc for example in examples]).astype(np.float32) / 255
    labels = np.array([example.label for example in examples])

    model = imgloc.load(evaluated_run)
    optimizer = optax.adam(3e-3)

    def loss(params, others):
        outputs = model.module.apply({**others, "params": params}, images, train=False)
        return optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels).mean()

    @jax.jit
    def step(params, others, state):
        value, gradients = jax.value_and_grad(loss)(params, others)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    others = dict(model.variables)
    params = others.pop("params")
    state = optimizer.init(params)
    losses = []
    for _ in range(60):
        params, state, value = step(params, others, state)
        losses.append(float(value))
    tuned = dataclasses.replace(model, variables={**others, "params": params})

    assert losses[-1] < 0.7 * losses[0]
    pictures = [example.image_hxwxc for example in examples]
    before, after = ([each.answer.score for each in each_model.predict(pictures)] for each_model in (model, tuned))
    assert before != after
    right = [sum(each.answer.label == str(label) for each, label in zip(m.predict(pictures), labels, strict=True)) for m in (model, tuned)]
    assert right[1] > right[0]
