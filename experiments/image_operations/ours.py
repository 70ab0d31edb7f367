"""Times operations of imgloc; prints one line of JSON, images per second by operation and size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import pictures

from imgloc.devices import runtime
from imgloc.features.hog import hog
from imgloc.features.lbp import local_binary_pattern
from imgloc.image import (
    canny,
    clahe,
    color,
    components,
    filters,
    gradients,
    histograms,
    morphology,
    resample,
    structure_tensor,
    templates,
    thresholds,
)


def operations(side: int, batch: int) -> Mapping[str, Callable[[], Any]]:
    """Returns compiled calls for a batch of float images on the device."""
    images = pictures.photographs(side, batch)
    rgb, gray = jnp.asarray(images, jnp.float32) / 255, jnp.asarray(pictures.gray(images), jnp.float32)[..., None] / 255
    template = gray[:, : pictures.TEMPLATE, : pictures.TEMPLATE]
    functions: dict[str, tuple[Callable[..., Any], Any]] = {
        "gaussian": (lambda x: filters.gaussian(x, 2.0), rgb),
        "median 3x3": (lambda x: filters.median(x, 3), rgb),
        "unsharp mask": (lambda x: filters.unsharp_mask(x, 2.0), rgb),
        "sobel": (gradients.sobel, gray),
        "laplacian": (gradients.laplacian, gray),
        "harris": (structure_tensor.harris, gray),
        "canny": (canny.canny, gray),
        "otsu": (lambda x: thresholds.otsu(x, levels=256), gray),
        "components": (lambda x: components.label(x[..., 0] > 0.5), gray),
        "dilation 5x5": (lambda x: morphology.dilation(x, morphology.square(5)), gray),
        "equalize": (lambda x: histograms.equalize(x, levels=256), gray),
        "clahe": (clahe.clahe, gray),
        "rgb to hsv": (color.rgb_to_hsv, rgb),
        "rgb to lab": (color.rgb_to_lab, rgb),
        "resize to half": (lambda x: resample.resize(x, side // 2, side // 2), rgb),
        "match template": (lambda x: templates.match_template(x, template), gray),
        "hog": (hog, gray),
        "lbp": (lambda x: local_binary_pattern(x, method="uniform"), gray),
    }

    def call(function: Callable[..., Any], argument: Any) -> Callable[[], Any]:
        compiled = jax.jit(function, compiler_options=runtime.compiler_options())
        return lambda: jax.block_until_ready(compiled(argument))

    return {name: call(*entry) for name, entry in functions.items()}


if __name__ == "__main__":
    runtime.prepare()
    print(json.dumps(pictures.measured(operations)))
