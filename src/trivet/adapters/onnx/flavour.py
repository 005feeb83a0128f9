"""Models that are ONNX already. Their source is what was given; their serving form has one output.

Accepted are models with one float32 input (n, k) and, among their outputs, one float32 matrix:
what scikit-learn's, LightGBM's and PyTorch's exporters write (without `zipmap`).
"""

from typing import Any, Final

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.core.ports import Converted

_FLOAT: Final = 1  # onnx.TensorProto.FLOAT


class OnnxFlavour:
    """`onnx.ModelProto` objects."""

    name = "onnx"

    def accepts(self, model: object) -> bool:
        kind = type(model)
        return kind.__name__ == "ModelProto" and kind.__module__.split(".")[0] == "onnx"

    def convert(self, model: object, *, features: int, task: str) -> Converted:
        import onnx

        proto: Any = model
        checker: Any = onnx.checker
        try:
            checker.check_model(proto, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise Invalid(
                f"the ONNX model is not valid: {error}",
                code="wrong-model",
                hint="Export it again; onnx.checker.check_model says the same.",
            ) from error
        source = proto.SerializeToString(deterministic=True)
        return Converted(
            source=source, source_format="onnx", onnx=_with_one_output(source, features, task)
        )

    def load(self, source: bytes) -> object:
        import onnx
        from google.protobuf.message import DecodeError

        problem = "it has no graph"
        try:
            proto = onnx.load_model_from_string(source)
            if proto.graph.node:
                return proto
        except DecodeError as error:
            problem = str(error)
        raise Corrupt(
            f"the source of the model is no ONNX: {problem}",
            hint="Package the model again from its run.",
        )

    def predict(self, model: object, matrix: Any) -> Any:
        import numpy as np
        import onnxruntime

        proto: Any = model
        runtime: Any = onnxruntime
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        output, positive = _answer_of(proto)
        session = runtime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        answers = session.run([output], {proto.graph.input[0].name: matrix})[0]
        return np.asarray(answers[:, 1:] if positive else answers, dtype=np.float64)


def _shape(value: Any) -> list[int]:
    """Return a value's dimensions; 0 for one that is not fixed, empty when it is no float32."""
    tensor = value.type.tensor_type
    if tensor.elem_type != _FLOAT:
        return []
    return [size.dim_value for size in tensor.shape.dim]


def _answer_of(proto: Any) -> tuple[str, bool]:
    """Name the output that answers, and say whether it has a column for each of two classes.

    Raises:
        Unsupported: None, or more than one, is a float32 matrix.
    """
    found = [value for value in proto.graph.output if len(_shape(value)) == 2]
    if len(found) != 1 or not _shape(found[0])[1]:
        raise Unsupported(
            f"the ONNX model has {len(found)} outputs that are float32 matrices of known width; "
            "expected one",
            code="not-convertible",
            hint="Export it with zipmap switched off, and with fixed shapes but for the rows.",
        )
    return found[0].name, _shape(found[0])[1] == 2


def _with_one_output(source: bytes, features: int, task: str) -> bytes:
    import numpy as np
    import onnx

    proto = onnx.load_model_from_string(source)
    inputs = [_shape(value) for value in proto.graph.input]
    if len(inputs) != 1 or len(inputs[0]) != 2 or inputs[0][1] != features:
        raise Invalid(
            f"the ONNX model has inputs of shapes {inputs}; expected one float32 matrix of "
            f"{features} columns",
            code="other-features",
            hint="Export it on the matrix that the signature's encoder makes.",
        )
    name, _ = _answer_of(proto)
    width = next(_shape(value)[1] for value in proto.graph.output if value.name == name)
    expected = {"binary": {1, 2}, "regression": {1}}.get(task, set(range(3, width + 1)))
    if width not in expected:
        raise Invalid(
            f"the ONNX model answers with {width} numbers a row, which is no {task}",
            code="other-task",
            hint="Fit the signature and the model to the same target.",
        )
    proto = onnx.utils.Extractor(proto).extract_model([proto.graph.input[0].name], [name])
    graph = proto.graph
    chosen = np.array([1] if (task, width) == ("binary", 2) else range(width), dtype=np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(chosen, "trivet.chosen"))
    graph.node.append(
        onnx.helper.make_node("Gather", [name, "trivet.chosen"], ["trivet.answer"], axis=1)
    )
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info(
            "trivet.answer", onnx.TensorProto.FLOAT, [None, chosen.size]
        )
    )
    return proto.SerializeToString(deterministic=True)
