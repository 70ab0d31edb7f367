"""The public convolution and its layer against XLA's and linen's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from hypothesis import given, settings

from imgloc.nn.conv import Conv, conv
from tests.nn.convolutions import PROBLEMS, Problem, arrays, assert_close, problems


@settings(max_examples=6)
@given(problem=problems())
def test_value_tangent_and_cotangents_on_a_grid_of_arguments(problem: Problem) -> None:
    def everything(function: Any, x: Any, kernel: Any, dx: Any, dk: Any) -> Any:
        value, tangent = jax.jvp(function, (x, kernel), (dx, dk))
        return value, tangent, jax.vjp(function, x, kernel)[1](jnp.cos(value))

    @jax.jit
    def both(*operands: Any) -> Any:
        return everything(lambda x, k: conv(x, k, **problem.options), *operands), everything(problem.native, *operands)

    assert_close(*both(*arrays(problem.images, problem.kernel, problem.images, problem.kernel)))


@pytest.mark.parametrize(("name", "use_bias"), [("plain", True), ("groups, dilation", False), ("depthwise, multiplier, uneven pads", True)])
def test_layer_has_the_parameters_of_linens(name: str, use_bias: bool) -> None:
    problem = PROBLEMS[name]
    (x,) = arrays(problem.images)
    fields = {
        "features": problem.kernel[3], "kernel_size": problem.kernel[:2], "strides": problem.strides, "padding": problem.padding,
        "kernel_dilation": problem.dilation, "feature_group_count": problem.groups, "use_bias": use_bias,
    }  # fmt: skip
    ours, theirs = Conv(**fields), nn.Conv(**fields)
    variables, key = ours.init(jax.random.key(0), x), jax.random.key(0)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), variables, theirs.init(key, x)))
    variables = jax.tree.map(lambda a: a + 0.5, variables)  # a bias that counts
    assert_close(ours.apply(variables, x), theirs.apply(variables, x))


def test_layer_computes_in_the_images_dtype_with_float32_parameters() -> None:
    x = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    out, variables = Conv(2).init_with_output(jax.random.key(0), x)
    assert out.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_ranks_are_asserted() -> None:
    with pytest.raises(ValueError, match=r"conv expects images \(b, h, w, i\)"):
        conv(jnp.ones((4, 4, 3)), jnp.ones((3, 3, 3, 2)))
    with pytest.raises(ValueError, match=r"conv expects images \(b, h, w, i\)"):
        conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 2)))


@pytest.mark.parametrize(
    ("channels", "kernel", "groups"), [(4, (3, 3, 3, 2), 1), (4, (3, 3, 4, 4), 2), (4, (3, 3, 2, 3), 2), (6, (3, 3, 2, 6), 2)]
)
def test_channels_that_do_not_fit_the_groups_are_refused(channels: int, kernel: tuple[int, ...], groups: int) -> None:
    with pytest.raises(ValueError, match=rf"do not match in {groups} group\(s\)"):
        conv(jnp.ones((1, 5, 5, channels)), jnp.ones(kernel), groups=groups)


def test_two_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="one dtype; got bfloat16, float32"):
        conv(jnp.ones((1, 5, 5, 3), jnp.bfloat16), jnp.ones((3, 3, 3, 2)))


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((2, 5), {"padding": "VALID"}),
        ((5, 2), {"padding": "VALID"}),
        ((5, 4), {"padding": "VALID", "dilation": (1, 2)}),
        ((5, 5), {"padding": ((0, -3), (1, 1))}),
    ],
)
def test_a_window_larger_than_the_image_is_refused(size: tuple[int, int], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is larger than images"):
        conv(jnp.ones((1, *size, 3)), jnp.ones((3, 3, 3, 2)), **options)
    fitting = conv(jnp.ones((1, size[0] + 3, size[1] + 3, 3)), jnp.ones((3, 3, 3, 2)), **options)
    assert fitting.size > 0
