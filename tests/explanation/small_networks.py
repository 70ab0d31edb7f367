"""Small networks in linen whose score maps are known or computed elsewhere, and questions about them."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.config.registry import declared
from imgloc.explanation.keys import image_keys
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question
from imgloc.explanation.targets import Objective, class_logit
from imgloc.nn.apply import apply_eval

SIZE, CLASSES = 12, 3


class Network(nn.Module):
    """Two convolutions with ReLU, global average pooling and a linear layer: layers `first` and `last`."""

    pooling: str = "average"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        first = nn.relu(nn.Conv(4, (3, 3), padding="VALID", name="conv1")(images))
        last = nn.relu(nn.Conv(6, (3, 3), (2, 2), padding="VALID", name="conv2")(first))
        pooled = {"average": lambda x: x.mean(axis=(1, 2)), "max": lambda x: x.max(axis=(1, 2)), "flat": lambda x: x.reshape(len(x), -1)}
        logits = nn.Dense(CLASSES, name="classes")(pooled[self.pooling](last))
        return {"logits": logits, "features": {"first": first, "last": last}}


def images(b: int = 2, channels: int = 3) -> jax.Array:
    """Random images in [0, 1]."""
    return jnp.asarray(np.random.default_rng(0).uniform(size=(b, SIZE, SIZE, channels)), jnp.float32)


def question(
    model: nn.Module | None = None, *, objective: Objective = class_logit, index: Any = ((1,), (2,)), layer: str = "", seed: int = 0
) -> Question:
    """A question about a network with random weights."""
    model = model or Network()
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(seed), images())
    return Question(functools.partial(apply_eval, model=model), variables, objective, jnp.asarray(index, jnp.int32), layer)


def maps_of(name: str, asked: Question, batch: Any = None, key: int = 0, **options: Any) -> np.ndarray:
    """The raw maps of a method."""
    function = declared("explanation.methods", name, Method).function
    batch = images(len(asked.index_bxm)) if batch is None else batch
    keys_b = image_keys(key, "test", jnp.zeros(len(batch), jnp.int32))
    compiled = jax.jit(lambda x: function(asked, x, keys_b, **options))
    return np.asarray(compiled(batch))
