"""The Open Inference Protocol, version 2, over REST: JSON and binary tensors.

Two shapes of request are understood: one tensor per input of the signature (shape [n] or [n, 1]),
and a single numeric tensor of shape [n, k] that holds all inputs in order.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import Invalid
from trivet.core.ids import new_id
from trivet.models.facts import Input, Signature
from trivet.serving.answering import Answered, Asked
from trivet.serving.endpoints import Live
from trivet.serving.exchange import MOST_ROWS

Headers = list[tuple[bytes, bytes]]

_LENGTH: Final = b"inference-header-content-length"
_NUMPY: Final[dict[str, str]] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_TYPE_OF: Final = {
    "number": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES",
    "datetime": "BYTES",
}  # fmt: skip


class Tensor(msgspec.Struct, kw_only=True):
    """An input tensor as it arrives."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


class Wanted(msgspec.Struct, kw_only=True):
    """An output that the client asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct, kw_only=True):
    """The JSON part of an inference request; unknown members are ignored."""

    inputs: list[Tensor]
    outputs: list[Wanted] = []
    id: str | None = None
    parameters: dict[str, str | float | bool] = {}


class Inference(msgspec.Struct, frozen=True):
    """A request that was read: its rows, and how it wants to be answered."""

    asked: Asked
    request: InferenceRequest


_decode = msgspec.json.Decoder(InferenceRequest).decode
_encode = msgspec.json.Encoder().encode


def read_request(headers: Iterable[tuple[bytes, bytes]], body: bytes, live: Live) -> Inference:
    """Read an inference request.

    Raises:
        Invalid: JSON, header, shapes, types or names are not what protocol and signature ask for.
    """
    signature = live.variants.champion.signature
    head, tail = _split(headers, body)
    try:
        request = _decode(head)
    except (msgspec.DecodeError, ValueError) as error:
        raise _bad(f"the request cannot be read: {error}") from error
    columns = _columns(request, tail)
    rows = _rows(columns, signature)
    units = request.parameters.get("unit")
    asked = Asked(
        rows,
        [str(units)] * len(rows) if units is not None else None,
        None,
        _variant(request),
    )
    return Inference(asked, request)


def write_response(inference: Inference, live: Live, answered: Answered) -> tuple[bytes, Headers]:
    """Write the answer: JSON, followed by binary tensors where they were asked for.

    Raises:
        Invalid: An output was asked for that the model does not have.
    """
    model = live.variants.champion
    available = _outputs(model.signature, answered)
    wanted = inference.request.outputs or [Wanted(name=name) for name in available]
    everywhere = inference.request.parameters.get("binary_data_output") is True
    outputs: list[dict[str, Any]] = []
    tails: list[bytes] = []
    for item in wanted:
        if item.name not in available:
            raise _bad(f"output {item.name!r} is unknown; expected one of {', '.join(available)}")
        datatype, shape, values = available[item.name]
        output: dict[str, Any] = {"name": item.name, "datatype": datatype, "shape": shape}
        if item.parameters.get("binary_data", everywhere) is True:
            raw = _raw(datatype, values)
            output["parameters"] = {"binary_data_size": len(raw)}
            tails.append(raw)
        else:
            output["data"] = [None if _is_nan(v) else v for v in values]
        outputs.append(output)
    plan = live.release.plan
    first = answered.answers[0]
    response = {
        "model_name": plan.endpoint,
        "model_version": first.model.rpartition(":")[2],
        "id": inference.request.id or new_id(),
        "parameters": {
            "trivet_deployment": live.release.id,
            "trivet_prediction_id": answered.ids[0],
        },
        "outputs": outputs,
    }
    head = _encode(response)
    result: Headers = [(b"trivet-prediction-id", answered.ids[0].encode())]
    if tails:
        result.append((_LENGTH, str(len(head)).encode()))
    return b"".join((head, *tails)), result


def server_metadata() -> bytes:
    """Write the server metadata object."""
    return _encode({"name": "trivet", "version": "2", "extensions": ["binary_tensor_data"]})


def model_metadata(live: Live) -> bytes:
    """Write the model metadata object of an endpoint."""
    model = live.variants.champion
    inputs = [
        {"name": item.name, "datatype": _TYPE_OF[item.type], "shape": [-1, 1]}
        for item in model.signature.inputs
    ]
    outputs = [
        {"name": "output", "datatype": "FP32", "shape": [-1, _width(model.signature)]},
        {"name": "prediction_id", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    return _encode(
        {
            "name": live.release.plan.endpoint,
            "versions": [str(v.version) for v in live.release.plan.variants if v.role == "live"],
            "platform": "onnx_onnxv1",
            "inputs": inputs,
            "outputs": outputs,
            "parameters": {"trivet_deployment": live.release.id},
        }
    )


def _split(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> tuple[bytes, bytes]:
    given = next((value for name, value in headers if name == _LENGTH), None)
    if given is None:
        return body, b""
    if not given.isdigit() or int(given) > len(body) or int(given) == 0:
        raise _bad("header inference-header-content-length is no length of the JSON part")
    return body[: int(given)], body[int(given) :]


def _columns(request: InferenceRequest, tail: bytes) -> dict[str, tuple[list[int], list[Any]]]:
    if not request.inputs:
        raise _bad("inputs is an empty list; expected at least one tensor")
    columns: dict[str, tuple[list[int], list[Any]]] = {}
    position = 0
    for tensor in request.inputs:
        if tensor.name in columns:
            raise _bad(f"input {tensor.name!r} is given twice")
        size = tensor.parameters.get("binary_data_size")
        count = _count(tensor)
        if (size is None) == isinstance(tensor.data, msgspec.UnsetType):
            raise _bad(f"input {tensor.name!r} needs exactly one of data and binary_data_size")
        if size is None:
            values = _leaves(tensor, count)
        else:
            if not isinstance(size, int) or isinstance(size, bool) or not size >= 0:
                raise _bad(f"input {tensor.name!r}: binary_data_size is no size in bytes")
            values = _unpack(tensor, count, tail[position : position + size], size)
            position += size
        columns[tensor.name] = (tensor.shape, values)
    if position != len(tail):
        raise _bad("the body is longer or shorter than its binary tensors say")
    return columns


def _count(tensor: Tensor) -> int:
    if not tensor.shape or any(size < 0 for size in tensor.shape):
        raise _bad(f"input {tensor.name!r}: shape is no list of sizes of at least 0")
    count = math.prod(tensor.shape)
    if tensor.shape[0] > MOST_ROWS or count > 1 << 24:
        raise Invalid(
            f"input {tensor.name!r} has more than {MOST_ROWS} rows",
            code="too-large",
            hint="Split the request.",
        )
    if tensor.datatype not in _NUMPY and tensor.datatype != "BYTES":
        raise _bad(f"input {tensor.name!r}: datatype {tensor.datatype!r} is unknown")
    return count


def _leaves(tensor: Tensor, count: int) -> list[Any]:
    flat: list[Any] = []
    stack: list[Any] = [tensor.data]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))  # pyright: ignore[reportUnknownArgumentType]  # JSON values
        else:
            flat.append(item)
        if len(flat) > count:
            break
    if len(flat) != count:
        raise _bad(f"input {tensor.name!r} has not the {count} values that its shape says")
    family = tensor.datatype.rstrip("0123456789")
    for value in flat:
        if not _is_accepted(value, family):
            raise _bad(
                f"input {tensor.name!r} holds a {type(value).__name__}; expected {tensor.datatype}"
            )
    return flat


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_accepted(value: object, family: str) -> bool:
    """Say whether a JSON value may stand in a tensor of a family; null is a missing value."""
    if value is None:
        return family != "BOOL"
    if family == "BOOL":
        return isinstance(value, bool) or (_is_integer(value) and value in {0, 1})
    if family == "BYTES":
        return isinstance(value, str)
    if family == "FP":
        return isinstance(value, float) or _is_integer(value)
    return _is_integer(value)


def _unpack(tensor: Tensor, count: int, raw: bytes, size: int) -> list[Any]:
    if len(raw) != size:
        raise _bad(f"input {tensor.name!r}: the body ends before its {size} bytes")
    if tensor.datatype == "BYTES":
        return _unpack_bytes(tensor, count, raw)
    kind = np.dtype(_NUMPY[tensor.datatype])
    if size != count * kind.itemsize:
        raise _bad(f"input {tensor.name!r} has {size} bytes; expected {count * kind.itemsize}")
    values: NDArray[Any] = np.frombuffer(raw, kind)
    return [None if _is_nan(value) else value for value in values.tolist()]


def _unpack_bytes(tensor: Tensor, count: int, raw: bytes) -> list[Any]:
    values: list[str] = []
    position = 0
    while position < len(raw) and len(values) < count:
        length = int.from_bytes(raw[position : position + 4], "little")
        position += 4
        try:
            values.append(raw[position : position + length].decode())
        except UnicodeDecodeError as error:
            raise _bad(f"input {tensor.name!r} holds bytes that are no UTF-8") from error
        position += length
    if position != len(raw) or len(values) != count:
        raise _bad(f"input {tensor.name!r} has not the {count} elements that its shape says")
    return values


def _rows(
    columns: dict[str, tuple[list[int], list[Any]]], signature: Signature
) -> list[list[Any]] | list[dict[str, Any]]:
    names = [item.name for item in signature.inputs]
    if len(columns) == 1 and not set(columns) <= set(names):
        ((name, (shape, values)),) = columns.items()
        if len(shape) != 2 or shape[1] != len(names):
            raise _bad(f"input {name!r}: shape is not [n, {len(names)}], one column per input")
        return [
            _typed(values[start : start + len(names)], signature.inputs)
            for start in range(0, len(values), len(names))
        ]
    lengths = {len(values) for _, values in columns.values()}
    if len(lengths) != 1:
        raise _bad("the inputs have different numbers of rows")
    for name, (shape, _) in columns.items():
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise _bad(f"input {name!r}: shape is neither [n] nor [n, 1]")
    lists = [values for _, values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _typed(values: Sequence[Any], inputs: Sequence[Input]) -> list[Any]:
    # A tensor has one datatype for all columns; what is whole in an integer column stays whole.
    return [
        int(value)
        if item.type == "integer" and isinstance(value, float) and value.is_integer()
        else value
        for value, item in zip(values, inputs, strict=True)
    ]


def _variant(request: InferenceRequest) -> str | None:
    given = request.parameters.get("trivet_variant")
    return given if isinstance(given, str) else None


def _outputs(
    signature: Signature, answered: Answered
) -> dict[str, tuple[str, list[int], list[Any]]]:
    rows = len(answered.ids)
    width = _width(signature)
    flat = [value for row in answered.outputs for value in row]
    return {
        "output": ("FP32", [rows, width], flat),
        "prediction_id": ("BYTES", [rows, 1], list(answered.ids)),
    }


def _width(signature: Signature) -> int:
    return len(signature.classes) if signature.task == "multiclass" else 1


def _raw(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        encoded = [str(value).encode() for value in values]
        return b"".join(len(item).to_bytes(4, "little") + item for item in encoded)
    return np.asarray(values, _NUMPY[datatype]).tobytes()


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _bad(message: str) -> Invalid:
    return Invalid(
        message, code="bad-request", hint="Ask GET /v2/models/<name> for the inputs it takes."
    )
