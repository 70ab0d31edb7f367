"""The form of a convolution that is fast on a CPU, by role and sizes.

The rules summarize the measurements of experiments/operation_forms on an AMD and on an Intel machine. Where the two disagree, the
rules take XLA's own convolution, so that no form is slower than it on either machine. A test compares them with all results.
"""

from __future__ import annotations

import math

from imgloc.nn.conv_forms import Geometry

OUTER = 27  # taps times channels up to which elementwise sums are fastest: 3x3 over RGB
TINY = 2  # pixels a side up to which XLA's convolution is slow: 100 times slower at 2x2
SMALL = 14  # pixels a side up to which a matrix product is fastest for the gradient of the images
FEW = 4  # channels of the images up to which it is fastest at any size, with strides of 1
NARROW, LARGE = 32, 112  # channels up to which, and pixels a side from which, XLA is as fast for the gradient of a depthwise kernel


def choose(role: str, geometry: Geometry) -> str:
    """Returns the name of a form in `conv_forms.FORMS` for a role in `conv_forms.ROLES`."""
    if geometry.depthwise:
        xla = role == "kernel_gradient" and geometry.image[2] <= NARROW and min(geometry.out[:2]) >= LARGE
        return "native" if xla else "shifted"
    return {"output": _output, "image_gradient": _image_gradient, "kernel_gradient": _kernel_gradient}[role](geometry)


def _output(geometry: Geometry) -> str:
    if _pointwise(geometry):
        return "native"
    if geometry.groups == 1 and math.prod(geometry.kernel[:3]) <= OUTER:
        return "outer"
    return "gathered" if max(geometry.image[:2]) <= TINY else "native"


def _image_gradient(geometry: Geometry) -> str:
    if geometry.groups > 1:
        return "gathered"
    if max(geometry.strides) > 1:
        # Intel: 1.1 to 1.8 times native for first layers and images of 8 or 16 pixels. AMD: 0.6 to 0.9 times.
        small = max(geometry.out[:2]) > TINY and max(geometry.image[:2]) <= SMALL + 2
        return "native" if not _pointwise(geometry) and (small or geometry.image[2] <= FEW) else "gathered"
    if _pointwise(geometry):
        return "native"
    return "gathered" if max(geometry.image[:2]) <= SMALL or geometry.image[2] <= FEW else "native"


def _kernel_gradient(geometry: Geometry) -> str:
    return "gathered" if geometry.groups > 1 or max(geometry.out[:2]) == 1 else "native"


def _pointwise(geometry: Geometry) -> bool:
    """Whether XLA itself computes it as a matrix product."""
    return geometry.kernel[:2] == (1, 1)


def batched_form(geometry: Geometry) -> str:
    """Returns the form under a vmap over kernels, which becomes batched products."""
    return "shifted" if geometry.depthwise else "gathered"
