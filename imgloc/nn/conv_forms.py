"""Forms of a convolution: implementations of the same operation that are fast on different hardware and sizes.

A form is a function (x, kernel, geometry) -> y in plain JAX. Its two gradients are its transposes, so a form of the forward
direction is also a form of each gradient.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]  # (top, bottom), (left, right); negative crops
Padding = Literal["SAME", "VALID"] | tuple[tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The sizes, strides and padding of a convolution."""

    image: tuple[int, ...]  # height, width, channels
    kernel: tuple[int, ...]  # height, width, channels of a group, features
    strides: Pair
    pads: Pads
    dilation: Pair  # of the kernel
    groups: int

    @property
    def window(self) -> Pair:
        """Height and width that the dilated kernel spans."""
        height, width = (d * (k - 1) + 1 for k, d in zip(self.kernel[:2], self.dilation, strict=True))
        return height, width

    @property
    def out(self) -> tuple[int, int, int]:
        """Height, width and features of the output."""
        height, width = (
            max((size + sum(pad) - window) // stride + 1, 0)
            for size, pad, window, stride in zip(self.image[:2], self.pads, self.window, self.strides, strict=True)
        )
        return height, width, self.kernel[3]

    @property
    def depthwise(self) -> bool:
        """Whether each channel is its own group."""
        return self.groups == self.image[2] and self.kernel[2] == 1 and self.groups > 1


Form = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


def resolve_pads(padding: Padding, image: Pair, window: Pair, strides: Pair) -> Pads:
    """Returns the rows and columns to pad on each side, for TensorFlow's SAME or VALID, or for explicit padding."""
    if isinstance(padding, str):
        (top, bottom), (left, right) = jax.lax.padtype_to_pads(image, window, strides, padding)
    else:
        (top, bottom), (left, right) = padding
    return (int(top), int(bottom)), (int(left), int(right))


def window_slices(x: jax.Array, kernel: Pair, strides: Pair, dilation: Pair = (1, 1)) -> list[jax.Array]:
    """Returns the pixels under each cell of a sliding window: h w strided slices (b, h', w', c), row by row."""
    out_h = (x.shape[1] - dilation[0] * (kernel[0] - 1) - 1) // strides[0] + 1
    out_w = (x.shape[2] - dilation[1] * (kernel[1] - 1) - 1) // strides[1] + 1
    rows = [slice(i, i + (out_h - 1) * strides[0] + 1, strides[0]) for i in range(0, dilation[0] * kernel[0], dilation[0])]
    columns = [slice(j, j + (out_w - 1) * strides[1] + 1, strides[1]) for j in range(0, dilation[1] * kernel[1], dilation[1])]
    return [x[:, row, column, :] for row in rows for column in columns]


def native(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """XLA's convolution."""
    return jax.lax.conv_general_dilated(
        x, kernel, geometry.strides, geometry.pads,
        rhs_dilation=geometry.dilation, feature_group_count=geometry.groups, dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


def gathered(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """The windows side by side (im2col), then one matrix product for each group."""
    columns = jnp.stack(_slices(x, geometry), axis=-2)  # b, h', w', taps, c; no axis is inferred, as the batch may be empty
    if geometry.groups == 1:
        weights = kernel.reshape(-1, geometry.kernel[3])
        product: jax.Array = columns.reshape(*columns.shape[:3], weights.shape[0]) @ weights
        return product
    per_group = columns.reshape(*columns.shape[:4], geometry.groups, geometry.kernel[2])
    weights = kernel.reshape(-1, geometry.kernel[2], geometry.groups, geometry.kernel[3] // geometry.groups)
    return jnp.einsum("bhwtgi,tigo->bhwgo", per_group, weights).reshape(*columns.shape[:3], geometry.kernel[3])


def shifted(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """A sum of shifted images, each times its tap: elementwise, for depthwise convolutions."""
    taps = kernel.reshape(-1, geometry.kernel[3])
    multiplier = geometry.kernel[3] // geometry.image[2]
    slices = _slices(x, geometry)
    if multiplier > 1:
        slices = [jnp.repeat(part, multiplier, axis=-1) for part in slices]
    return functools.reduce(jnp.add, [part * taps[i] for i, part in enumerate(slices)])


def outer(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """A sum over taps and channels, each channel's image times its weights of all features: elementwise, for few taps and channels."""
    taps = kernel.reshape(-1, *geometry.kernel[2:])
    parts = [part[..., i : i + 1] * taps[t, i] for t, part in enumerate(_slices(x, geometry)) for i in range(geometry.kernel[2])]
    return functools.reduce(jnp.add, parts)


def _slices(x: jax.Array, geometry: Geometry) -> list[jax.Array]:
    edges = [(0, 0, 0), *((low, high, 0) for low, high in geometry.pads), (0, 0, 0)]
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), edges)
    return window_slices(padded, (geometry.kernel[0], geometry.kernel[1]), geometry.strides, geometry.dilation)


FORMS: Mapping[str, Form] = {"native": native, "gathered": gathered, "shifted": shifted, "outer": outer}


def output(form: Form, x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the output `(b, *geometry.out)` of images and a kernel."""
    return form(x, kernel, geometry)


def image_gradient(form: Form, y: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the cotangent of the images, `(b, *geometry.image)`, from the cotangent y of the output."""
    x: jax.Array
    (x,) = jax.linear_transpose(lambda x: form(x, kernel, geometry), _like(y, (y.shape[0], *geometry.image), batched=True))(y)
    return x


def kernel_gradient(form: Form, x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """Returns the cotangent of the kernel from the cotangent y of the output."""
    kernel: jax.Array
    (kernel,) = jax.linear_transpose(lambda k: form(x, k, geometry), _like(y, geometry.kernel, batched=False))(y)
    return kernel


def _like(y: jax.Array, shape: tuple[int, ...], *, batched: bool) -> Any:
    # The abstract value of y with another shape. A ShapeDtypeStruct would lose the mesh axes along which y varies in
    # `jax.shard_map`, and the transpose of an operand that does not vary is a sum over the mesh.
    aval: Any = jax.typeof(y)
    spec = jax.sharding.PartitionSpec(aval.sharding.spec[0] if batched else None, None, None, None)
    return aval.update(shape=shape, sharding=jax.sharding.NamedSharding(aval.sharding.mesh, spec), weak_type=False)


# The three roles of one trilinear form: the derivatives of each are the other two.
ROLES: Mapping[str, Callable[[Form, jax.Array, jax.Array, Geometry], jax.Array]] = {
    "output": output,
    "image_gradient": image_gradient,
    "kernel_gradient": kernel_gradient,
}
