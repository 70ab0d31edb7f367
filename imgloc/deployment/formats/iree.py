"""A module of IREE: machine code for CPUs like this one, which a runtime of a few megabytes executes."""

from __future__ import annotations

from typing import Any

import jax
from jax import export

from imgloc.deployment import locate_exported
from imgloc.deployment.exported import Description, Function, ModelFormat, Run, Written
from imgloc.errors import UserError, one_line


def write(function: Function, images: Any) -> Written:
    """The module of the function, compiled for the CPU of this machine."""
    from iree import compiler

    names: list[str] = []

    def main(given: Any) -> Any:  # a tuple in a known order, instead of a dict
        outputs = function(given)
        names[:] = list(outputs)
        return tuple(outputs.values())

    exported = export.export(jax.jit(main), platforms=("cpu",))(images)
    try:
        content = compiler.compile_str(
            exported.mlir_module(), input_type="stablehlo", target_backends=["llvm-cpu"], extra_args=["--iree-llvmcpu-target-cpu=host"]
        )
    except compiler.CompilerToolError as error:
        raise UserError(f"IREE cannot compile the model: {one_line(error, lines=3)[:300]}; use --to stablehlo or onnx") from error
    return Written(bytes(content), {"outputs": names, "target": "the CPU of the machine that exported it"})


def open_(content: bytes, description: Description) -> Run:
    """A function that runs the module, which executes it."""
    return locate_exported.open_iree(content, description.details["outputs"])


FORMAT = ModelFormat(
    suffix=".vmfb", write=write, open=open_, extra="iree",
    modules=("iree.compiler", "iree.runtime"), default_batch=1, any_batch=False, native_code=True,
)  # fmt: skip
