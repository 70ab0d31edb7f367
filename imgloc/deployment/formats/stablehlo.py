"""StableHLO, as `jax.export` writes it: one file for CPUs, CUDA GPUs and TPUs, which JAX runs without imgloc."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import export

from imgloc.deployment.exported import Description, Function, ModelFormat, Run, Written
from imgloc.errors import UserError, one_line

PLATFORMS = ("cpu", "cuda", "tpu")


def write(function: Function, images: Any) -> Written:
    """The serialized function."""
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(images)
    details = {"platforms": list(PLATFORMS), "calling_convention": exported.calling_convention_version, "jax": jax.__version__}
    return Written(bytes(exported.serialize()), details)


def open_(content: bytes, description: Description) -> Run:
    """A function that runs the content, compiled once for each number of images. Raises UserError where JAX cannot read it."""
    try:
        exported = export.deserialize(bytearray(content))
    except Exception as error:  # of flatbuffers or of MLIR
        raise UserError(f"JAX cannot read the exported model: {one_line(error)[:200]}; export the model again") from error
    call = jax.jit(exported.call)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        outputs: dict[str, np.ndarray] = jax.device_get(call(images))
        return outputs

    return run


FORMAT = ModelFormat(suffix=".stablehlo", write=write, open=open_)
