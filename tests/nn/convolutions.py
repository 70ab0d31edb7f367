"""What the tests of convolution share: XLA's own, problems to draw, arrays to fill them."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from imgloc.nn.conv_forms import Geometry, Padding, Pair, resolve_pads


@dataclasses.dataclass(frozen=True)
class Problem:
    """Arguments of a convolution."""

    images: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: Pair = (1, 1)
    padding: Padding = "SAME"
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def window(self) -> Pair:
        height, width = (d * (k - 1) + 1 for k, d in zip(self.kernel[:2], self.dilation, strict=True))
        return height, width

    @property
    def geometry(self) -> Geometry:
        pads = resolve_pads(self.padding, self.images[1:3], self.window, self.strides)
        return Geometry(self.images[1:], self.kernel, self.strides, pads, self.dilation, self.groups)

    @property
    def options(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def native(self, x: Any, kernel: Any) -> Any:
        """XLA's operation, called here and not through imgloc."""
        return jax.lax.conv_general_dilated(
            x, kernel, self.strides, self.padding,
            rhs_dilation=self.dilation, feature_group_count=self.groups, dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip


PROBLEMS = {  # one for each way of being peculiar
    "plain": Problem((2, 7, 6, 8), (3, 2, 8, 4)),
    "one by one, stride": Problem((2, 7, 5, 8), (1, 1, 8, 4), strides=(2, 3)),
    "few channels, even kernel, stride": Problem((2, 9, 8, 3), (4, 2, 3, 5), strides=(2, 1), padding="VALID"),
    "tiny image": Problem((2, 2, 2, 8), (3, 3, 8, 4)),
    "groups, dilation": Problem((2, 7, 9, 6), (3, 2, 2, 9), dilation=(2, 3), groups=3),
    "depthwise": Problem((2, 7, 6, 5), (3, 3, 1, 5), strides=(2, 2), groups=5),
    "depthwise, multiplier, uneven pads": Problem((2, 7, 6, 3), (2, 3, 1, 6), padding=((2, -1), (-1, 3)), groups=3),
}


@st.composite
def problems(draw: Any) -> Problem:
    """Convolutions of which at least one window fits into the image: sizes 1 to 9, kernels to 4, pads -2 to 3."""
    up_to = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    groups, width, multiple = draw(st.sampled_from([(1, 1, 1), (1, 3, 2), (1, 6, 4), (2, 3, 1), (3, 2, 2), (4, 1, 1), (3, 1, 2)]))
    size, kernel, strides, dilation = draw(up_to(1, 9)), draw(up_to(1, 4)), draw(up_to(1, 3)), draw(up_to(1, 2))
    shape = (*kernel, width, groups * multiple)
    padding = draw(st.one_of(st.sampled_from(["SAME", "VALID"]), st.tuples(up_to(-2, 3), up_to(-2, 3))))
    problem = Problem((2, *size, groups * width), shape, strides, padding, dilation, groups)
    pads = ((0, 0), (0, 0)) if isinstance(padding, str) else padding
    short = [max(w - n - sum(p), 0) for w, n, p in zip(problem.window, size, pads, strict=True)]
    grown = (size[0] + short[0], size[1] + short[1])
    return problem if padding == "SAME" else dataclasses.replace(problem, images=(2, *grown, groups * width))


def arrays(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(sum(map(sum, shapes)))
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def assert_close(found: Any, expected: Any, tolerance: float = 2e-4) -> None:
    """Trees are equal, each array to a tolerance relative to its largest value."""

    def compare(a: Any, b: Any) -> None:
        scale = float(jnp.abs(b).max()) if b.size else 0.0
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(scale, 1.0))

    jax.tree.map(compare, found, expected)
