"""Which form of a convolution a CPU is quickest at, by direction and sizes; experiments/operation_forms has the measurements."""

from __future__ import annotations

import math

from imgloc.ops.conv_forms import Geometry

OUTER = 27  # taps times channels up to which elementwise sums win: 3x3 over RGB


def choose(role: str, geometry: Geometry, *, batch: int) -> str:
    """The name of a form in `conv_forms.FORMS` for a role in `conv_forms.ROLES`."""
    if geometry.depthwise:
        return "shifted"
    if geometry.kernel[:2] == (1, 1) or max(geometry.out[:2]) <= 2:
        return "gathered"
    if role == "output" and geometry.groups == 1 and math.prod(geometry.kernel[:3]) <= OUTER:
        return "outer"
    return "native"


def batched_form(geometry: Geometry) -> str:
    """The form under a vmap over kernels: one that becomes batched products."""
    return "shifted" if geometry.depthwise else "gathered"
