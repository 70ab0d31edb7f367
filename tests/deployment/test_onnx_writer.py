"""The ONNX writer, against JAX in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

from imgloc.deployment import locate_exported
from imgloc.deployment.onnx_writer.folding import fold
from imgloc.deployment.onnx_writer.graph import Graph, size_for_batch
from imgloc.deployment.onnx_writer.write import to_onnx
from imgloc.errors import UserError
from imgloc.nn.conv import conv
from imgloc.nn.pool import average_pool, max_pool
from tests.deployment.random_models import any_batch, forms, images, in_jax, random_model

RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((3, 3, 2, 4)).astype(np.float32) / 4
DEPTHWISE = RNG.standard_normal((3, 3, 1, 2)).astype(np.float32)
MATRIX = RNG.standard_normal((2, 5)).astype(np.float32)
SIDE = RNG.standard_normal((8, 3)).astype(np.float32)
SHAPE = (6, 8, 2)
KEY = jax.random.key(3)


def scanned(x: jax.Array, *, reverse: bool) -> jax.Array:
    """A recurrence over rows, whose state has the size of the batch."""

    def step(state: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
        new = jnp.tanh(state @ (MATRIX @ MATRIX.T) + row)
        return new, new * 2

    start = jnp.zeros((x.shape[0], 2))
    last, states = lax.scan(step, start, jnp.moveaxis(x[:, :, 0], 1, 0), reverse=reverse)
    return jnp.moveaxis(states, 0, 1) + last[:, None]


def looped(x: jax.Array) -> jax.Array:
    """A loop whose number of rounds depends on the images."""
    return lax.while_loop(lambda carry: carry.max() > 1, lambda carry: carry * 0.7, x.sum(axis=(1, 2)))


def chosen(x: jax.Array) -> jax.Array:
    """A branch that depends on the images."""
    return lax.cond(x.mean() > 0.5, lambda a: a + 1, lambda a: a * 2, x)


def noise(x: jax.Array) -> jax.Array:
    """Random numbers of each image's own key."""
    keys = jax.vmap(lambda seed: jax.random.fold_in(KEY, seed))((x.sum(axis=(1, 2, 3)) * 100).astype(jnp.uint32))

    def draw(key: jax.Array) -> jax.Array:
        first, second = jax.random.split(key)
        return jnp.stack([jax.random.uniform(first, (3,)), jax.random.normal(second, (3,))])

    return jax.vmap(draw)(keys)


OPERATIONS: dict[str, Callable[[jax.Array], Any]] = {
    "convolution": lambda x: conv(x, KERNEL, strides=(2, 1), padding="SAME"),
    "dilated": lambda x: conv(x, KERNEL, padding=((2, 1), (0, 3)), dilation=(2, 1)),
    "depthwise": lambda x: conv(x, DEPTHWISE, padding="VALID", groups=2),
    "of lax": lambda x: lax.conv_general_dilated(x, KERNEL, (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
    "normalized": lambda x: (conv(x, KERNEL) - jnp.arange(4.0)) * 3.0 / jnp.arange(1.0, 5.0) + 2.0,
    "max pool": lambda x: max_pool(conv(x, KERNEL), (3, 3), (2, 2), "SAME"),
    "average pool": lambda x: average_pool(x, (2, 2), padding=((1, 0), (0, 0))),
    "moments": lambda x: (x - x.mean(axis=(1, 2), keepdims=True)) * lax.rsqrt(x.var(axis=(1, 2), keepdims=True) + 1e-3),
    "product": lambda x: x.reshape(x.shape[0], -1, 2) @ MATRIX,
    "batched product": lambda x: jnp.einsum("bhwc,bhvc->bwv", x, x),
    "einsum": lambda x: jnp.einsum("bhwc,wd->bdhc", x, SIDE),
    "softmax": lambda x: jax.nn.log_softmax(x.reshape(x.shape[0], -1)),
    "slices": lambda x: x[:, ::2, -3:, 1] - x[:, 1::2, :3, 0],
    "one place": lambda x: x[:, -1, 2],
    "places": lambda x: x[:, np.array([4, 0, 2])][..., np.array([1, 0])],
    "along": lambda x: jnp.take_along_axis(x, (x[:, :2] * 5).astype(jnp.int32), axis=1),
    "filled": lambda x: (x * 9).astype(jnp.uint32).at[:, np.array([1, 9])].get(mode="fill", fill_value=7),
    "filled with NaN": lambda x: jnp.round(x).astype(jnp.bfloat16).at[:, np.array([1, 9])].get(mode="fill").astype(jnp.float32),
    "written": lambda x: x.at[:, 1, 2].set(7.0).at[:, 2].add(x[:, 0]),
    "written, some outside": lambda x: x.at[jnp.arange(x.shape[0]), (x[:, 0, 0, 0] * 12).astype(jnp.int32)].max(2.0),
    "largest": lambda x: lax.top_k(x.reshape(x.shape[0], -1), 3),
    "sorted": lambda x: jnp.sort(x, axis=2),
    "argmax": lambda x: x.argmax(axis=2),
    "integers": lambda x: ((x * 50).astype(jnp.int32) % 7, (x * 50).astype(jnp.int32) // 3),
    "bits": lambda x: ((x * 255).astype(jnp.uint32) * jnp.uint32(2654435761)) ^ ((x * 9).astype(jnp.uint32) << 7),
    "rounded": lambda x: (jnp.round(x * 9), jnp.floor(x), jnp.ceil(x), jnp.sign(x - 0.5), jnp.clip(x, 0.2, 0.6)),
    "masks": lambda x: jnp.where((x > 0.5) & ~(x > 0.9) | (x == 0), x, -1.0).any(axis=-1),
    "padded": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), constant_values=3.0),
    "cut by padding": lambda x: lax.pad(x, 0.0, ((0, 0, 0), (-1, -2, 0), (1, -1, 0), (0, 0, 0))),
    "joined": lambda x: jnp.concatenate([x, jnp.ones((x.shape[0], 6, 8, 1)), conv(x, KERNEL)], axis=-1),
    "stacked": lambda x: jnp.stack([x[..., 0], x[..., 1]], axis=1),
    "transposed": lambda x: jnp.swapaxes(conv(x, KERNEL), 1, 2).reshape(x.shape[0], 8, -1),
    "reversed": lambda x: x[:, ::-1, :, ::-1],
    "repeated": lambda x: jnp.repeat(x, 2, axis=0),
    "cumulative": lambda x: jnp.cumsum(x, axis=1),
    "numbers of images": lambda x: jnp.broadcast_to(jnp.arange(x.shape[0], dtype=jnp.float32)[:, None], (x.shape[0], 2)) + x[:, 0, 0],
    "functions": lambda x: jnp.stack([jnp.exp(x), jnp.log1p(x), jnp.tanh(x), jax.nn.sigmoid(x), jax.nn.gelu(x), jnp.expm1(x), x**3]),
    "forward scan": lambda x: scanned(x, reverse=False), "backward scan": lambda x: scanned(x, reverse=True),
    "loop": looped, "branch": chosen, "random numbers": noise,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_what_jax_gives_for_any_number_of_images(name: str) -> None:
    def function(given: jax.Array) -> dict[str, jax.Array]:
        results = OPERATIONS[name](given.astype(jnp.float32) / 255)
        return {f"out{i}": value for i, value in enumerate(results if isinstance(results, (tuple, list)) else [results])}

    run = locate_exported.open_onnx(to_onnx(function, any_batch(SHAPE)))
    for count in (1, 3):
        batch = images(count, SHAPE)
        expected, found = in_jax(function, batch), run(batch)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value.astype(found[key].dtype), rtol=1e-5, atol=1e-5, err_msg=f"{key}, {count}")


def operations_of(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def test_scales_and_shifts_after_a_convolution_are_folded_into_it_and_nothing_is_transposed_between_two() -> None:
    def function(given: jax.Array) -> dict[str, jax.Array]:
        x = given.astype(jnp.float32)
        for _ in range(2):
            x = jax.nn.relu((conv(x, np.ones((3, 3, x.shape[-1], 4), np.float32)) - jnp.arange(4.0)) * 2.0 + 1.0)
        return {"out": x.mean(axis=(1, 2))}

    found = operations_of(to_onnx(function, any_batch(SHAPE)))
    assert found.count("Conv") == 2
    assert found.count("Transpose") == 1  # of the images
    assert not {"Sub", "Add", "Mul"} & set(found)


def test_a_value_that_is_read_twice_is_not_folded() -> None:
    def function(given: jax.Array) -> dict[str, jax.Array]:
        x = conv(given.astype(jnp.float32), KERNEL)
        return {"out": (x * 2.0).sum(axis=(1, 2)), "other": x.sum(axis=(1, 2))}

    content = to_onnx(function, any_batch(SHAPE))
    assert "Mul" in operations_of(content)
    found = locate_exported.open_onnx(content)(images(2, SHAPE))
    np.testing.assert_allclose(found["out"], 2 * found["other"], rtol=1e-5)


def test_a_recurrence_is_one_scan_and_the_file_passes_the_checker_with_shapes() -> None:
    content = to_onnx(lambda x: {"out": scanned(x.astype(jnp.float32), reverse=False)}, any_batch(SHAPE))
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert operations_of(content).count("Scan") == 1
    axes = [axis.dim_param or axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim]
    assert axes == ["b", 6, 2]


def test_an_lstm_is_one_native_node() -> None:
    found = operations_of(to_onnx(random_model("sequence"), any_batch()))
    assert found.count("LSTM") == 1
    assert not {"Scan", "MatMul"} & set(found[: found.index("LSTM")])


def test_a_fixed_batch_is_written_as_such() -> None:
    content = to_onnx(lambda x: {"out": x.sum(axis=(1, 2))}, jax.ShapeDtypeStruct((2, *SHAPE), np.uint8))
    assert onnx.load_from_string(content).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_an_operation_without_a_rule_is_named() -> None:
    with pytest.raises(UserError, match="operation 'cholesky', which cannot be written to ONNX"):
        to_onnx(lambda x: {"out": lax.linalg.cholesky(jnp.eye(2) + x.astype(jnp.float32)[:, :2, :2, 0])}, any_batch(SHAPE))


def test_more_branches_than_two_are_refused_in_one_line() -> None:
    def branches(x: jax.Array) -> dict[str, jax.Array]:
        values = x.astype(jnp.float32)
        index = values.max().astype(jnp.int32)
        return {"out": lax.switch(index, [lambda v: v, lambda v: 2 * v, lambda v: 3 * v], values)}

    with pytest.raises(UserError, match=r"operation 'cond', which cannot be written to ONNX \(3 branches\)"):
        to_onnx(branches, any_batch(SHAPE))


def test_what_nothing_reads_is_dropped_and_sizes_follow_the_batch() -> None:
    graph = Graph(batch_of="images")
    graph.add("Relu", "images")
    graph.constant(np.ones(3))
    fold(graph)
    assert graph.nodes == []
    assert graph.constants == {}
    size = 3 * any_batch().shape[0]
    assert [size_for_batch(size, batch) for batch in (1, 5)] == [3, 15]


def test_a_size_that_is_not_linear_in_the_batch_is_refused() -> None:
    graph, batch = Graph(batch_of="images"), any_batch().shape[0]
    assert graph.size_tensor(2 * batch + 3)
    for size in (-batch % 4, batch // 4, batch * batch):
        with pytest.raises(UserError, match="is not a linear function of the batch size; use --batch N"):
            graph.size_tensor(size)


QUICK = ("sequence",)


@pytest.mark.parametrize("form", [form if form in QUICK else pytest.param(form, marks=pytest.mark.slow) for form in forms()])
def test_a_model_gives_what_jax_gives_in_onnxruntime_for_1_3_and_64_images_from_one_file(form: str) -> None:
    function = random_model(form)
    run = locate_exported.open_onnx(to_onnx(function, any_batch()))
    batch = images(64)
    expected = in_jax(function, batch)
    for count in (1, 3, 64):
        found = run(batch[:count])
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value[:count], rtol=1e-4, atol=1e-4, err_msg=f"{key}, {count}")
            assert count == 1 or value.dtype != np.float32 or key == "cells" or not np.array_equal(found[key][0], found[key][1]), (
                f"{key} does not depend on the image"
            )
