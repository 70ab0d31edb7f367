"""The graph as an ONNX file, checked by ONNX's own checker with shapes inferred."""

from __future__ import annotations

from typing import Any

from imgloc.deployment.onnx_writer.graph import IR_VERSION, OPSET, Graph, Node, Value, stored_dtype


def as_model(graph: Graph, description: str) -> bytes:
    """The bytes of a model. Raises an error of the checker where the graph is not valid, which is a mistake of imgloc."""
    import onnx

    model = onnx.helper.make_model(
        _as_graph(graph, "main"), opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="imgloc", doc_string=description
    )
    model.ir_version = IR_VERSION
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _as_graph(graph: Graph, name: str) -> Any:
    import onnx

    constants = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    nodes = [_as_node(node) for node in graph.nodes]
    inputs, outputs = ([_info(*each, inner=graph.root is not None) for each in every] for every in (graph.inputs, graph.outputs))
    return onnx.helper.make_graph(nodes, name, inputs, outputs, constants)


def _as_node(node: Node) -> Any:
    import onnx

    attributes = {
        key: _as_graph(value, f"{node.outputs[0]}_{key}") if isinstance(value, Graph) else value for key, value in node.attributes.items()
    }
    return onnx.helper.make_node(node.op, node.inputs, node.outputs, name=node.outputs[0], **attributes)


def _info(name: str, value: Value, *, inner: bool) -> Any:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(stored_dtype(value.dtype))
    shape = [size if isinstance(size, int) else None if inner else str(size) for size in value.shape]
    return onnx.helper.make_tensor_value_info(name, kind, shape)
