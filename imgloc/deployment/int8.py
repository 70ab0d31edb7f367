"""Quantization of an ONNX model to 8 bits after training, by the quantizer of onnxruntime."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgloc.types import Uint8Array

MODES = ("static", "dynamic")
QUANTIZED = ("Conv", "MatMul", "Gemm")


def quantize(content: bytes, mode: str, batches: Sequence[Uint8Array]) -> bytes:
    """The model with weights of 8 bits, one scale for each channel; the last layers before the outputs stay in float.

    static: activations have 8 bits too, with ranges from the images of the batches. dynamic: their ranges are computed for each batch,
    and convolutions stay in float, because onnxruntime runs quantized ones of this kind more slowly and less exactly.
    """
    import onnx
    from onnxruntime import quantization

    logging.getLogger().addFilter(_is_no_advice)  # it advises a step that the writer has done
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(content)
        kept = last_layers(onnx.load_from_string(content).graph)
        if mode == "dynamic":
            quantization.quantize_dynamic(
                before, after, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, nodes_to_exclude=kept,
                weight_type=quantization.QuantType.QInt8, extra_options={"EnableSubgraph": True},
            )  # fmt: skip
        else:
            quantization.quantize_static(
                before, after, _Images(batches), quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=list(QUANTIZED),
                per_channel=True, nodes_to_exclude=kept, activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8, calibrate_method=quantization.CalibrationMethod.MinMax,
            )  # fmt: skip
        return after.read_bytes()


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def last_layers(graph: Any) -> list[str]:
    """The names of the layers with weights from which no other such layer is reached: those that give the outputs."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    followed: dict[str, bool] = {}
    for node in reversed(graph.node):  # sorted, so that readers come first
        later = [each for name in node.output for each in readers.get(name, ())]
        followed[node.name] = any(each.op_type in QUANTIZED or followed[each.name] for each in later)
    return [node.name for node in graph.node if node.op_type in QUANTIZED and not followed[node.name]]


class _Images:
    """Batches one after the other, as the quantizer reads them."""

    def __init__(self, batches: Sequence[Uint8Array]) -> None:
        self.left = iter(batches)

    def get_next(self) -> dict[str, Uint8Array] | None:
        """The next batch, None after the last one."""
        batch = next(self.left, None)
        return None if batch is None else {"images": batch}
