"""Quantization of an ONNX model to 8 bits after training, by the quantizer of onnxruntime."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imgloc.types import Uint8Array

MODES = ("static", "dynamic")
QUANTIZED = ("Conv", "MatMul", "Gemm")


def quantize(content: bytes, mode: str, batches: Sequence[Uint8Array]) -> bytes:
    """Returns the model with weights of 8 bits, one scale for each channel; the layers of `last_layers` stay in float.

    static: activations have 8 bits too, with ranges from the images of the batches. dynamic: their ranges are computed for each batch,
    and convolutions stay in float, because onnxruntime runs quantized ones of this kind more slowly and less exactly.
    """
    import onnx
    from onnxruntime import quantization

    with _without_advice(), tempfile.TemporaryDirectory() as folder:
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


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Hides the quantizer's advice to do a step that the writer has done."""

    def is_no_advice(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    logging.getLogger().addFilter(is_no_advice)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(is_no_advice)


def last_layers(graph: Any, followed_outside: bool = False) -> list[str]:
    """Returns the names of the layers with weights that no other such layer follows, also in the bodies of loops and branches.

    `followed_outside` is whether such a layer follows the node to which the graph belongs as a body.
    """
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in _read_names(node):
            readers.setdefault(name, []).append(node)
    followed: dict[str, bool] = {}
    for node in reversed(graph.node):  # sorted, so that readers come first
        later = [each for name in node.output for each in readers.get(name, ())]
        followed[node.name] = followed_outside or any(_has_layer(each) or followed[each.name] for each in later)
    found = []
    for node in graph.node:
        if node.op_type in QUANTIZED and not followed[node.name]:
            found.append(node.name)
        for body in _bodies(node):
            found += last_layers(body, followed[node.name])
    return found


def _bodies(node: Any) -> list[Any]:
    """Returns the graphs of a Scan, Loop or If."""
    return [attribute.g for attribute in node.attribute if attribute.g.node]


def _read_names(node: Any) -> list[str]:
    """Returns the names of the tensors that a node reads, with those that its bodies read from outside."""
    return [*node.input, *(name for body in _bodies(node) for each in body.node for name in _read_names(each))]


def _has_layer(node: Any) -> bool:
    """Whether a node is, or contains, a layer with weights."""
    return node.op_type in QUANTIZED or any(_has_layer(each) for body in _bodies(node) for each in body.node)


class _Images:
    """Batches one after the other, as the quantizer reads them."""

    def __init__(self, batches: Sequence[Uint8Array]) -> None:
        self.left = iter(batches)

    def get_next(self) -> dict[str, Uint8Array] | None:
        """The next batch, None after the last one."""
        batch = next(self.left, None)
        return None if batch is None else {"images": batch}
