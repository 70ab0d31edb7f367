"""The question that a score map answers: which score of which model, and at which layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend.core import Var

from imgloc.explanation import layers
from imgloc.explanation.jaxprs import evaluate
from imgloc.explanation.targets import Objective
from imgloc.types import Outputs


@dataclass(frozen=True)
class Question:
    """A score of a model, as a function of images and of the activation of a layer.

    `forward(variables, images_bxhxwxc)` returns the outputs of a model for images in [0, 1]; those of an image must not depend on the
    other images of the batch.
    """

    forward: Callable[[Any, jax.Array], Outputs]
    variables: Any
    objective: Objective
    index_bxm: jax.Array  # of the objective
    layer: str = ""  # empty: the last one through which all of the score passes

    def outputs(self, images_bxhxwxc: jax.Array) -> Outputs:
        """The outputs of the model."""
        return self.forward(self.variables, images_bxhxwxc)

    def score(self, images_bxhxwxc: jax.Array) -> jax.Array:
        """The score (b,) of each image."""
        return self.objective(self.outputs(images_bxhxwxc), self.index_bxm)

    def split(self, images_bxhxwxc: jax.Array) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
        """The activation (b, h, w, c) of the layer, and the score as a function of it. Raises UserError for an unsuitable layer."""
        traced, variable, arguments = self._trace(images_bxhxwxc)
        jaxpr, constants = traced.closed.jaxpr, traced.closed.consts
        (activation,) = evaluate(jaxpr, constants, arguments, requested=[variable])

        def score_of(activation: jax.Array) -> jax.Array:
            score_b: jax.Array = evaluate(jaxpr, constants, arguments, given={variable: activation}, requested=[traced.score])[0]
            return score_b

        return activation, score_of

    def activation_and_gradient(self, images_bxhxwxc: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The activation of the layer and the gradient of the score with respect to it: one forward and one backward pass."""
        activation, score_of = self.split(images_bxhxwxc)
        return activation, gradient(score_of, activation)

    def _trace(self, images_bxhxwxc: jax.Array) -> tuple[layers.Traced, Var, list[Any]]:
        def score_and_outputs(context: Any, images: jax.Array) -> tuple[jax.Array, Outputs]:
            variables, index = context
            outputs = self.forward(variables, images)
            return self.objective(outputs, index), outputs

        context = self.variables, self.index_bxm
        traced = layers.trace(score_and_outputs, context, images_bxhxwxc)
        return traced, traced.layers[layers.find_layer(traced, self.layer)], [*jax.tree.leaves(context), images_bxhxwxc]


def gradient(score: Callable[[jax.Array], jax.Array], at: jax.Array) -> jax.Array:
    """The gradient of the score of each image with respect to its own part of `at`, by one backward pass for the whole batch."""
    result: jax.Array = jax.grad(lambda x: score(x).sum())(at)
    return result
