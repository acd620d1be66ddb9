"""groupnas.onnx_tools: whatever is wrong with a model ends in one line."""

from __future__ import annotations

import pytest

from groupnas.errors import InputError
from groupnas.onnx_tools import open_session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def model(operator: str = "Identity", told: str = "text", port: str = "x") -> bytes:
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node(operator, [port], ["y"], name="node")],
        "graph",
        [make.make_tensor_value_info(port, kind, [1])],
        [make.make_tensor_value_info("y", kind, [1])],
    )
    made = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=8)
    make.set_model_props(made, {"key": told})
    return made.SerializeToString()


def test_a_model_is_opened() -> None:
    session = open_session(model())
    assert session.get_modelmeta().custom_metadata_map == {"key": "text"}
    assert [port.name for port in session.get_inputs()] == ["x"]


@pytest.mark.parametrize("damaged", ["operator", "told", "port"])
def test_a_text_that_is_not_utf8(damaged: str) -> None:
    content = model(**{damaged: "MARK"}).replace(b"MARK", b"M\xf4RK")
    with pytest.raises(InputError, match=r"^the model: is damaged: a text in it is not UTF-8$"):
        open_session(content)


def test_what_is_no_model() -> None:
    with pytest.raises(InputError, match="^the model: ONNX Runtime cannot run it: "):
        open_session(b"no model")
