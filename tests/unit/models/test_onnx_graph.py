from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from trivet.core.errors import Corrupt, Invalid
from trivet.models.building import build_package
from trivet.models.onnx_graph import check_onnx, split_points
from trivet.models.session import Session
from trivet.testing.memory_stores import MemoryBlobs


def weight() -> TensorProto:
    return numpy_helper.from_array(np.ones((2, 1), np.float32), "W")


def outside() -> TensorProto:
    tensor = weight()
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    tensor.ClearField("raw_data")
    return tensor


def model(*tensors: TensorProto, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes or [helper.make_node("MatMul", ["X", "W"], ["Y"])],
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 1])],
        list(tensors),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def in_initializer() -> onnx.ModelProto:
    return model(outside())


def in_constant() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Constant", [], ["W"], value=outside()),
        helper.make_node("MatMul", ["X", "W"], ["Y"]),
    ]
    return model(nodes=nodes)


def in_branch() -> onnx.ModelProto:
    branch = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["Z"])],
        "b",
        [],
        [helper.make_tensor_value_info("Z", TensorProto.FLOAT, [None, 1])],
        [outside()],
    )
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["c"], ["Y"], then_branch=branch, else_branch=branch),
    ]
    return model(nodes=nodes)


def in_sparse_initializer() -> onnx.ModelProto:
    found = model(weight())
    sparse = found.graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside())
    return found


def in_function() -> onnx.ModelProto:
    found = model(weight())
    function = found.functions.add(name="f", domain="d")
    function.node.append(helper.make_node("Constant", [], ["W"], value=outside()))
    return found


@pytest.mark.parametrize(
    "make", [in_initializer, in_constant, in_branch, in_sparse_initializer, in_function]
)
def test_a_tensor_outside_the_model_is_refused_wherever_it_hides(
    make: Callable[[], onnx.ModelProto],
) -> None:
    with pytest.raises(Invalid) as caught:
        check_onnx(make().SerializeToString())
    assert caught.value.code == "external-data"


def test_a_second_graph_field_is_looked_into() -> None:
    # Readers merge repeated fields, so what follows the first graph belongs to the model, too.
    extra = onnx.ModelProto()
    extra.graph.initializer.append(outside())
    with pytest.raises(Invalid):
        check_onnx(model(weight()).SerializeToString() + extra.SerializeToString())


def test_a_location_alone_is_enough_to_be_refused() -> None:
    tensor = weight()
    tensor.data_location = TensorProto.EXTERNAL
    with pytest.raises(Invalid):
        check_onnx(model(tensor).SerializeToString())


def test_a_session_never_sees_a_model_with_tensors_outside() -> None:
    with pytest.raises(Invalid) as caught:
        Session(in_initializer().SerializeToString())
    assert caught.value.code == "external-data"


def test_a_whole_model_passes() -> None:
    check_onnx(model(weight()).SerializeToString())


@pytest.mark.parametrize("junk", [b"", b"\x00", b"PK\x03\x04junk", b"\x18\x00\x00\x00ORTM" * 4])
def test_other_bytes_are_no_model(junk: bytes) -> None:
    with pytest.raises(Corrupt):
        check_onnx(junk)


@given(st.binary(max_size=200))
def test_any_bytes_get_a_clear_answer(junk: bytes) -> None:
    with suppress(Corrupt, Invalid):
        check_onnx(junk)


@given(st.data())
def test_a_model_that_was_cut_or_changed_gets_a_clear_answer(data: st.DataObject) -> None:
    whole = bytearray(model(weight()).SerializeToString())
    cut = data.draw(st.integers(0, len(whole)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    with suppress(Corrupt, Invalid):
        check_onnx(bytes(whole[:cut]))


def test_the_split_points_of_trees_are_those_that_the_library_reads(
    trained: Any, flavours: Any
) -> None:
    serving = build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"").onnx
    expected: dict[int, set[np.float32]] = {}
    for node in onnx.load_model_from_string(serving).graph.node:
        fields = {field.name: field for field in node.attribute}
        if "nodes_values" in fields:
            pairs = zip(fields["nodes_featureids"].ints, fields["nodes_values"].floats, strict=True)
            for feature, value in pairs:
                expected.setdefault(feature, set()).add(np.float32(value))
    found = split_points(serving)
    assert {feature: set(values) for feature, values in found.items()} == expected
    assert len(found) == 4


def test_a_model_without_trees_has_no_split_points() -> None:
    assert split_points(model(weight()).SerializeToString()) == {}
