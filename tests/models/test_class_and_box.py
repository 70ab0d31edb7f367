"""Heads: dense layers, and heat maps of edges."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.models.heads.class_and_box import class_and_box, class_and_edges, soft_argmax_edges, straight_through_clip


class Heads(nn.Module):
    locate: bool

    @nn.compact
    def __call__(self, a: jax.Array, b: jax.Array) -> dict[str, jax.Array]:
        return class_and_box(a, b if self.locate else None, num_classes=3)


def test_each_head_reads_its_own_features_and_the_box_is_valid_and_float32() -> None:
    a, b = (jax.random.normal(jax.random.key(i), (5, 4)).astype(jnp.bfloat16) for i in range(2))
    outputs, variables = Heads(locate=True).init_with_output(jax.random.key(2), a, b)
    assert set(variables["params"]) == {"classes", "box"}
    other = Heads(locate=True).apply(variables, a, b + 1)
    np.testing.assert_array_equal(other["logits"], outputs["logits"])
    assert np.abs(other["box"] - outputs["box"]).max() > 1e-2
    assert outputs["logits"].shape == (5, 3)
    box = outputs["box"]
    assert (box.shape, box.dtype) == ((5, 4), jnp.float32)
    assert bool(((box[:, :2] >= 0) & (box[:, :2] <= box[:, 2:]) & (box[:, 2:] <= 1)).all())


def test_without_box_features_there_is_no_box() -> None:
    a = jnp.ones((2, 4))
    outputs, variables = Heads(locate=False).init_with_output(jax.random.key(0), a, a)
    assert set(outputs) == {"logits"}
    assert set(variables["params"]) == {"classes"}


class Edges(nn.Module):
    @nn.compact
    def __call__(self, maps: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        return class_and_edges(maps, maps.mean(axis=(1, 2)), num_classes=3)


def test_the_edges_of_a_box_are_at_the_peaks_of_its_heat_maps() -> None:
    maps = np.zeros((2, 9, 9, 4), np.float32)
    for edge, (row, column) in enumerate([(4, 2), (1, 4), (4, 6), (7, 4)]):
        maps[:, row, column, edge] = 40.0
    (outputs, edges), variables = Edges().init_with_output(jax.random.key(0), maps)
    assert set(variables["params"]) == {"classes", "edges", "shift"}
    assert edges.shape == (2, 9, 9, 4)
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    kernel[1, 1] = np.eye(4)
    variables["params"]["edges"]["kernel"] = kernel
    outputs, _ = Edges().apply(variables, maps)
    np.testing.assert_allclose(outputs["box"], [[2 / 8, 1 / 8, 6 / 8, 7 / 8]] * 2, atol=1e-3)
    shifted = jax.tree.map(lambda x: x, variables)
    shifted["params"]["shift"]["bias"] = np.array([9.0, 0, 0, -9.0], np.float32)
    np.testing.assert_allclose(Edges().apply(shifted, maps)[0]["box"], [[0.3, 1 / 8, 6 / 8, 0.825]] * 2, atol=1e-3)


def test_soft_argmax_edges_equal_a_sharp_peak() -> None:
    maps = np.full((1, 16, 16, 4), -50.0, np.float32)
    for edge, (row, column) in enumerate([(3, 5), (7, 1), (2, 15), (15, 9)]):
        maps[0, row, column, edge] = 50.0
    np.testing.assert_allclose(soft_argmax_edges(jnp.asarray(maps))[0] * 15, [5, 7, 15, 15], atol=1e-4)


def test_an_edge_outside_of_the_image_has_a_gradient_back_into_it() -> None:
    """With a plain clip, which has no gradient there, training got stuck at a box of the whole image for all images."""
    maps = np.zeros((1, 9, 9, 4), np.float32)
    for edge, (row, column) in enumerate([(4, 0), (0, 4), (4, 8), (8, 4)]):  # the whole image
        maps[:, row, column, edge] = 6.0
    _, variables = Edges().init_with_output(jax.random.key(0), maps)
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    kernel[1, 1] = np.eye(4)
    variables["params"]["edges"]["kernel"] = kernel
    variables["params"]["shift"]["bias"] = np.array([-2.0, -2.0, 2.0, 2.0], np.float32)  # and beyond

    def to_target(params: dict) -> jax.Array:
        (outputs, _) = Edges().apply({"params": params}, maps)
        return jnp.abs(outputs["box"] - jnp.array([0.3, 0.3, 0.6, 0.6])).sum()

    bias = jax.grad(to_target)(variables["params"])["shift"]["bias"]
    assert (np.sign(bias) == [-1, -1, 1, 1]).all()  # back towards the inside
    np.testing.assert_array_equal(straight_through_clip(jnp.array([-1.0, 0.25, 2.0])), [0.0, 0.25, 1.0])


class WithMaps(nn.Module):
    edges: bool
    score_maps: bool = True

    @nn.compact
    def __call__(self, maps: jax.Array) -> dict[str, jax.Array]:
        pooled = maps.mean(axis=(1, 2))
        if self.edges:
            return class_and_edges(maps, pooled, num_classes=3, score_maps=self.score_maps)[0]
        return class_and_box(pooled, pooled, num_classes=3, maps_bxhxwxc=maps if self.score_maps else None)


@pytest.mark.parametrize("edges", [False, True])
def test_the_averages_of_class_activation_maps_are_the_logits(edges: bool) -> None:
    maps = jax.random.normal(jax.random.key(0), (2, 4, 5, 6))
    outputs, variables = WithMaps(edges).init_with_output(jax.random.key(1), maps)
    assert outputs["score_maps"].shape == (2, 4, 5, 3)
    np.testing.assert_allclose(outputs["score_maps"].mean(axis=(1, 2)), outputs["logits"], atol=1e-5)
    without = WithMaps(edges, score_maps=False).apply(variables, maps)
    assert "score_maps" not in without
    np.testing.assert_array_equal(without["logits"], outputs["logits"])
