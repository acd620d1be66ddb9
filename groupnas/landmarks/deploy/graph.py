"""ONNX graphs written as arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from groupnas.errors import InputError
from groupnas.onnx_tools import import_onnx

OPSET, IR = 18, 8  # the opset of groupnas.deploy.export
FLOAT, INT, BYTE = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.uint8)


class GraphTensor:
    """A tensor of a graph; numbers beside it become constants of its dtype.

    Attributes:
        graph: Where it is computed.
        name: Its name there.
        dtype: As of NumPy.
    """

    def __init__(self, graph: Graph, name: str, dtype: DTypeLike) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def __add__(self, other: GraphTensor | ArrayLike) -> GraphTensor:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: GraphTensor | ArrayLike) -> GraphTensor:
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: GraphTensor | ArrayLike) -> GraphTensor:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: GraphTensor | ArrayLike) -> GraphTensor:
        return self.graph.op("Div", self, other)

    def clip(self, low: GraphTensor | float, high: GraphTensor | float) -> GraphTensor:
        """Return the value inside limits; where one is a tensor, so is the higher."""
        if isinstance(high, GraphTensor):
            return self.graph.op("Min", self.graph.op("Max", self, low), high)
        return self.graph.op("Clip", self, low, high)

    def cast(self, dtype: DTypeLike) -> GraphTensor:
        """Return the value in another dtype; towards 0 where numbers become whole."""
        kind = import_onnx().helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.graph.op("Cast", self, to=kind, dtype=dtype)

    def reshape(self, *shape: int) -> GraphTensor:
        """Return the value in another shape; 0 keeps a dimension, -1 is what is left."""
        return self.graph.op("Reshape", self, self.graph.constant(shape, INT))

    def transpose(self, *order: int) -> GraphTensor:
        """Return the value with its dimensions in another order."""
        return self.graph.op("Transpose", self, perm=order)

    def take(self, indices: GraphTensor | ArrayLike, axis: int = 0) -> GraphTensor:
        """Return some of its rows, columns, ...; ``indices`` may have any shape."""
        if not isinstance(indices, GraphTensor):
            indices = self.graph.constant(indices, INT)
        return self.graph.op("Gather", self, indices, axis=axis)

    def reduce(self, how: str, *axes: int, keep: bool = False) -> GraphTensor:
        """``Min``, ``Max`` or ``Sum`` along some axes."""
        return self.graph.op(
            f"Reduce{how}", self, self.graph.constant(axes, INT), keepdims=int(keep)
        )


class Graph:
    """Nodes in the order in which they are computed; their inputs and outputs have fixed names."""

    def __init__(self) -> None:
        self._onnx = import_onnx()
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], GraphTensor] = {}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, dtype: DTypeLike, shape: tuple[int | str, ...]) -> GraphTensor:
        """Add an input of the graph; a dimension with a name may have any size."""
        self.inputs.append(self._info(name, dtype, shape))
        return GraphTensor(self, name, dtype)

    def output(self, name: str, value: GraphTensor, shape: tuple[int | str, ...]) -> None:
        """Make a value an output of the graph."""
        self._node("Identity", [value.name], [name])
        self.outputs.append(self._info(name, value.dtype, shape))

    def constant(self, array: ArrayLike, dtype: DTypeLike) -> GraphTensor:
        """An array that never changes; equal ones are stored once."""
        values = np.asarray(array, dtype=dtype)
        key = (values.dtype.name, values.shape, values.tobytes())
        if key not in self._constants:
            value = GraphTensor(self, self._fresh("constant"), values.dtype)
            self.initializers.append(self._onnx.numpy_helper.from_array(values, value.name))
            self._constants[key] = value
        return self._constants[key]

    def split(self, value: GraphTensor, pieces: int, axis: int) -> list[GraphTensor]:
        """Equal pieces of a tensor, along an axis."""
        names = [self._fresh("Split") for _ in range(pieces)]
        self._node("Split", [value.name], names, axis=axis, num_outputs=pieces)
        return [GraphTensor(self, name, value.dtype) for name in names]

    def op(
        self,
        kind: str,
        first: GraphTensor,
        *others: GraphTensor | ArrayLike,
        dtype: DTypeLike | None = None,
        **attributes: Any,
    ) -> GraphTensor:
        """The output of a node; ``dtype`` where it is not that of the first input."""
        inputs = [
            other if isinstance(other, GraphTensor) else self.constant(other, first.dtype)
            for other in (first, *others)
        ]
        name = self._fresh(kind)
        self._node(kind, [value.name for value in inputs], [name], **attributes)
        return GraphTensor(self, name, first.dtype if dtype is None else dtype)

    def network(self, model: Any, x: GraphTensor, name: str) -> GraphTensor:
        """The output of a model ``onnx.ModelProto`` of one input and one output.

        Args:
            model: Of the same opset.
            x: Its input.
            name: Put before the names of its nodes.

        Raises:
            InputError: it has another opset, or more inputs or outputs.
        """
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        if opsets.get("", OPSET) != OPSET or len(model.graph.input) != 1 or model.functions:
            raise InputError(f"{name}: expected a network of one input in opset {OPSET}")
        part = self._onnx.compose.add_prefix(model, f"{name}.").graph
        self._node("Identity", [x.name], [part.input[0].name])
        self.nodes.extend(part.node)
        self.initializers.extend(part.initializer)
        return GraphTensor(self, part.output[0].name, FLOAT)

    def model(self, name: str, metadata: dict[str, str]) -> Any:
        """All of it as a checked ``onnx.ModelProto``."""
        helper = self._onnx.helper
        model = helper.make_model(
            helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="groupnas",
        )
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model)
        return model

    def _node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        node = self._onnx.helper.make_node(
            kind, inputs, outputs, name=f"{kind}_{len(self.nodes)}", **attributes
        )
        self.nodes.append(node)

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind}.{self._count}"

    def _info(self, name: str, dtype: DTypeLike, shape: tuple[int | str, ...]) -> Any:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, shape)
