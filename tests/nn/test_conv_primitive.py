"""The convolution primitive under JAX's transformations, each against the same transformation of XLA's operation."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from imgloc.nn.conv import conv
from imgloc.nn.conv_forms import ROLES
from imgloc.nn.conv_primitive import bind
from tests.nn.convolutions import PROBLEMS, Problem, arrays, assert_close

FEW = ("groups, dilation", "depthwise")


def ours(problem: Problem) -> Any:
    return functools.partial(conv, **problem.options)


def assert_same_as_native(problem: Problem, transform: Any, *operands: Any, tolerance: float = 2e-4) -> None:
    """`transform(function)` of these operands is the same for our function and XLA's."""
    found, expected = jax.jit(lambda *a: (transform(ours(problem))(*a), transform(problem.native)(*a)))(*operands)
    assert_close(found, expected, tolerance)
    assert all(float(jnp.abs(leaf).max()) > 1e-3 for leaf in jax.tree.leaves(expected))  # zeros would agree too easily


def energy(function: Any) -> Any:
    return lambda x, k: jnp.sin(function(x, k)).sum()


@pytest.mark.parametrize("name", [*FEW, "plain", "few channels, even kernel, stride", "depthwise, multiplier, uneven pads"])
def test_first_and_second_derivatives_in_every_order_of_modes(name: str) -> None:
    problem = PROBLEMS[name]

    def everything(function: Any) -> Any:
        def run(x: Any, k: Any, dx: Any, dk: Any) -> Any:
            gradient = jax.grad(energy(function), argnums=(0, 1))
            tangent = jax.jvp(function, (x, k), (dx, dk))[1]
            reverse_of_forward = jax.grad(lambda x, k: jax.jvp(energy(function), (x, k), (dx, dk))[1], argnums=(0, 1))(x, k)
            forward_of_reverse = jax.jvp(gradient, (x, k), (dx, dk))[1]
            reverse_of_reverse = jax.grad(lambda x, k: sum((g * t).sum() for g, t in zip(gradient(x, k), (dx, dk), strict=True)), (0, 1))
            return function(x, k), tangent, gradient(x, k), reverse_of_forward, forward_of_reverse, reverse_of_reverse(x, k)

        return run

    assert_same_as_native(problem, everything, *arrays(problem.images, problem.kernel, problem.images, problem.kernel), tolerance=1e-3)


@pytest.mark.parametrize("name", ["few channels, even kernel, stride", "depthwise, multiplier, uneven pads"])
def test_derivatives_are_those_of_finite_differences(name: str) -> None:
    problem = PROBLEMS[name]
    x, k = arrays((1, 4, 4, problem.images[3]), problem.kernel)
    check_grads(jax.jit(ours(problem)), (x, k), order=2, modes=("fwd", "rev"), atol=5e-2, rtol=5e-2, eps=0.1)


def test_hessian_vector_products_are_symmetric() -> None:
    problem = PROBLEMS["groups, dilation"]
    x, k, *vectors = arrays(*[problem.images, problem.kernel] * 3)
    a, b = tuple(vectors[:2]), tuple(vectors[2:])

    @jax.jit
    def product(left: Any, right: Any) -> Any:
        found = jax.jvp(jax.grad(energy(ours(problem)), argnums=(0, 1)), (x, k), right)[1]
        return sum((u * v).sum() for u, v in zip(left, found, strict=True))

    assert float(product(a, b)) == pytest.approx(float(product(b, a)), rel=1e-3)
    assert abs(float(product(a, b))) > 0.1


@pytest.mark.parametrize("name", ["plain", *FEW])
def test_vmap_over_images_kernels_and_both_along_any_axis(name: str) -> None:
    problem = PROBLEMS[name]
    (x, k), n = arrays((*problem.images[:2], 3, *problem.images[2:]), (*problem.kernel, 3)), 3

    def everything(function: Any) -> Any:
        both = jax.vmap(function, in_axes=(2, 4), out_axes=1)
        images = jax.vmap(function, in_axes=(2, None))
        kernels = jax.vmap(function, in_axes=(None, -1))
        outer_product = jax.vmap(kernels, in_axes=(2, None), out_axes=3)
        return lambda x, k: (both(x, k), images(x, k[..., 0]), kernels(x[:, :, 0], k), outer_product(x, k))

    assert_same_as_native(problem, everything, x, k)
    shape = jax.eval_shape(jax.vmap(ours(problem), in_axes=(2, 4), out_axes=1), x, k).shape
    assert shape == (problem.images[0], n, *problem.geometry.out)


@pytest.mark.parametrize("name", FEW)
def test_vmap_of_gradients_and_gradients_of_vmap(name: str) -> None:
    problem = PROBLEMS[name]
    x, k = arrays((3, *problem.images), (3, *problem.kernel))

    def everything(function: Any) -> Any:
        gradient = jax.grad(energy(function), argnums=(0, 1))

        def of_vmap(in_axes: Any) -> Any:
            return jax.grad(lambda x, k: jnp.sin(jax.vmap(function, in_axes)(x, k)).sum(), argnums=(0, 1))

        def run(x: Any, k: Any) -> Any:
            of_each = jax.vmap(gradient)(x, k), jax.vmap(gradient, (0, None))(x, k[0]), jax.vmap(gradient, (None, 0))(x[0], k)
            return of_each, of_vmap((0, 0))(x, k), of_vmap((None, 0))(x[0], k)

        return run

    assert_same_as_native(problem, everything, x, k, tolerance=1e-3)


@pytest.mark.parametrize("name", ["plain", "depthwise"])
def test_scan_checkpoint_and_a_tangent_of_one_operand(name: str) -> None:
    problem = PROBLEMS[name]
    x, kernels = arrays((4, *problem.images), (4, *problem.kernel))

    def everything(function: Any) -> Any:
        def total(x: Any, kernels: Any) -> Any:
            step = jax.checkpoint(lambda carry, xk: (carry + jnp.sin(function(*xk)), None))
            start = jnp.zeros((problem.images[0], *problem.geometry.out))
            return (jax.lax.scan(step, start, (x, kernels))[0] ** 2).sum()

        def run(x: Any, kernels: Any) -> Any:
            of_images = jax.jvp(lambda x: function(x, kernels[0]), (x[0],), (x[1],))[1]
            return of_images, jax.grad(total, argnums=(0, 1))(x, kernels)

        return run

    assert_same_as_native(problem, everything, x, kernels, tolerance=1e-3)


@pytest.mark.parametrize("name", PROBLEMS)
def test_bfloat16_in_every_role(name: str) -> None:
    problem = PROBLEMS[name]
    geometry = problem.geometry
    x, k, y = arrays(problem.images, problem.kernel, (problem.images[0], *geometry.out))
    value, pull = jax.vjp(problem.native, x, k)
    expected = dict(zip(ROLES, (value, *pull(y)), strict=True))
    x, k, y = (a.astype(jnp.bfloat16) for a in (x, k, y))
    operands = {"output": (x, k), "image_gradient": (y, k), "kernel_gradient": (x, y)}
    found = jax.jit(lambda operands: {role: bind(role, *operands[role], geometry) for role in ROLES})(operands)
    for role, reference in expected.items():
        assert found[role].dtype == jnp.bfloat16
        np.testing.assert_allclose(found[role].astype(jnp.float32), reference, atol=0.03 * float(jnp.abs(reference).max()))


def test_outside_jit_a_geometry_is_compiled_once() -> None:
    x, k = arrays((1, 5, 4, 3), (3, 3, 3, 2))
    conv(x, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imgloc.nn.conv_primitive.ROLES", {})  # tracing anew would look here
        assert conv(x + 1, k).shape == (1, 5, 4, 2)


def test_an_empty_batch_gives_an_empty_result() -> None:
    for name in ("one by one, stride", "groups, dilation", "depthwise"):
        problem = PROBLEMS[name]
        (k,) = arrays(problem.kernel)
        run = jax.vmap(jax.vjp(ours(problem), jnp.zeros((0, *problem.images[1:])), k)[1])
        image, kernel = run(jnp.zeros((2, 0, *problem.geometry.out)))
        assert image.shape == (2, 0, *problem.images[1:])
        np.testing.assert_array_equal(kernel, np.zeros((2, *problem.kernel)))


# --- what is lowered, and for whom


def text(function: Any, *operands: Any, platform: str = "cpu") -> str:
    found: str = jax.jit(function).trace(*operands).lower(lowering_platforms=(platform,)).as_text()
    return found


def groups_of_convolutions(program: str) -> list[int]:
    """The larger of feature and batch groups of every convolution in a lowered program."""
    counts = re.findall(r"stablehlo\.convolution.*?batch_group_count = (\d+).*?feature_group_count = (\d+)", program, re.DOTALL)
    assert len(counts) == program.count("stablehlo.convolution")
    return [max(int(a), int(b)) for a, b in counts]


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_vmap_over_kernels_makes_no_grouped_convolution_on_a_cpu(name: str) -> None:
    problem = PROBLEMS[name]
    x, k = arrays(problem.images, (3, *problem.kernel))

    def population(function: Any) -> Any:
        return jax.vmap(jax.value_and_grad(energy(function), argnums=(0, 1)), in_axes=(None, 0))

    assert set(groups_of_convolutions(text(population(ours(problem)), x, k))) <= {1}
    assert max(groups_of_convolutions(text(population(problem.native), x, k))) >= 3
    assert max(groups_of_convolutions(text(population(ours(problem)), x, k, platform="cuda"))) >= 3


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_an_accelerator_gets_native_convolutions_only(name: str, platform: str) -> None:
    problem = PROBLEMS[name]
    x, k = arrays(problem.images, problem.kernel)
    for transform in (lambda f: f, lambda f: jax.grad(energy(f), argnums=(0, 1))):
        program = text(transform(ours(problem)), x, k, platform=platform)
        native = text(transform(problem.native), x, k, platform=platform)
        assert groups_of_convolutions(program) == groups_of_convolutions(native)
        for other in ("dot_general", "concatenate", "slice"):
            assert f"stablehlo.{other}" not in program


@pytest.mark.parametrize(("name", "form"), [("tiny image", "dot_general"), ("depthwise", "slice")])
def test_a_cpu_gets_another_form(name: str, form: str) -> None:
    problem = PROBLEMS[name]
    program = text(ours(problem), *arrays(problem.images, problem.kernel))
    assert "stablehlo.convolution" not in program
    assert f"stablehlo.{form}" in program


def test_a_training_step_computes_no_gradient_of_its_images() -> None:
    images, first, second = (jnp.ones(shape) for shape in ((2, 8, 8, 3), (3, 3, 3, 4), (3, 3, 4, 4)))

    def loss(kernels: tuple[jax.Array, jax.Array], images: jax.Array) -> jax.Array:
        return jnp.square(conv(conv(images, kernels[0]), kernels[1])).sum()

    def image_gradients(argument: int) -> int:
        return str(jax.make_jaxpr(jax.grad(loss, argnums=argument))((first, second), images)).count("role=image_gradient")

    assert image_gradients(0) == 1  # of the second layer alone
    assert image_gradients(1) == 2
