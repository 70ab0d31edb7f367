"""ONNX, which onnxruntime and many other programs run."""

from __future__ import annotations

from typing import Any

from imgloc.deployment import int8, locate_exported
from imgloc.deployment.exported import Description, Function, ModelFormat, Run, Written
from imgloc.deployment.onnx_writer.graph import OPSET


def write(function: Function, images: Any) -> Written:
    """The model in one file, with its weights."""
    from imgloc.deployment.onnx_writer.write import to_onnx

    return Written(to_onnx(function, images), {"opset": OPSET})


def open_(content: bytes, description: Description) -> Run:
    """A function that runs the content in onnxruntime, on the CPU."""
    return locate_exported.open_onnx(content)


FORMAT = ModelFormat(
    suffix=".onnx", write=write, open=open_, extra="export", modules=("onnx", "onnxruntime"),
    quantize=int8.quantize,
)  # fmt: skip
