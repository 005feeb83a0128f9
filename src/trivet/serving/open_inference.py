"""The Open Inference Protocol, version 2, over REST: JSON and binary tensors.

Two shapes of request are understood: one tensor per input of the signature (shape [n] or [n, 1]),
and a single numeric tensor of shape [n, k] that holds all inputs in order.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from trivet.core.ids import new_id
from trivet.models.facts import Input, Signature
from trivet.serving.answering import Answered, Asked
from trivet.serving.endpoints import Live
from trivet.serving.tensors import Column, Tensor, bad, is_nan, pack, read_tensors

Headers = list[tuple[bytes, bytes]]

_LENGTH: Final = b"inference-header-content-length"
_OUTPUTS: Final = ("output", "prediction_id")
_TYPE_OF: Final = {
    "number": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES",
    "datetime": "BYTES",
}  # fmt: skip


class Wanted(msgspec.Struct, kw_only=True):
    """An output that the client asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct, kw_only=True):
    """The JSON part of an inference request; unknown members are ignored."""

    inputs: list[Tensor]
    outputs: list[Wanted] = []
    id: str | None = None
    parameters: dict[str, str | int | float | bool] = {}


class Inference(msgspec.Struct, frozen=True):
    """A request that was read: its rows, and how it wants to be answered."""

    asked: Asked
    request: InferenceRequest


_decode = msgspec.json.Decoder(InferenceRequest).decode
_encode = msgspec.json.Encoder().encode


def read_request(
    headers: Iterable[tuple[bytes, bytes]], body: bytes, live: Live, variant: str | None = None
) -> Inference:
    """Read an inference request.

    Args:
        headers: Raw headers of the request.
        body: Its body.
        live: The release in force.
        variant: The variant that the path asked for; otherwise the release decides.

    Raises:
        Invalid: JSON, header, shapes, types or names are not what protocol and signature ask for.
    """
    signature = live.variants.champion.signature
    head, tail = _split(headers, body)
    try:
        request = _decode(head)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise bad(f"the request cannot be read: {error}") from error
    for item in request.outputs:
        # Before anything is predicted: what is logged must have been answered.
        if item.name not in _OUTPUTS:
            expected = " or ".join(_OUTPUTS)
            raise bad(f"output {item.name!r} is unknown; expected {expected}")
    columns = read_tensors(request.inputs, tail)
    rows = _rows(columns, signature)
    units = request.parameters.get("unit")
    asked = Asked(
        rows,
        [str(units)] * len(rows) if units is not None else None,
        None,
        variant or _variant(request),
    )
    return Inference(asked, request)


def write_response(inference: Inference, live: Live, answered: Answered) -> tuple[bytes, Headers]:
    """Write the answer: JSON, followed by binary tensors where they were asked for."""
    model = live.variants.champion
    available = _outputs(model.signature, answered)
    wanted = inference.request.outputs or [Wanted(name=name) for name in available]
    everywhere = inference.request.parameters.get("binary_data_output") is True
    outputs: list[dict[str, Any]] = []
    tails: list[bytes] = []
    for item in wanted:
        datatype, shape, values = available[item.name]
        output: dict[str, Any] = {"name": item.name, "datatype": datatype, "shape": shape}
        if item.parameters.get("binary_data", everywhere) is True:
            raw = pack(datatype, values)
            output["parameters"] = {"binary_data_size": len(raw)}
            tails.append(raw)
        else:
            output["data"] = [None if is_nan(v) else v for v in values]
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
    if not given.isdigit() or len(given) > 15 or not 0 < int(given) <= len(body):
        raise bad("header inference-header-content-length is no length of the JSON part")
    return body[: int(given)], body[int(given) :]


def _rows(
    columns: dict[str, Column], signature: Signature
) -> list[list[Any]] | list[dict[str, Any]]:
    names = [item.name for item in signature.inputs]
    if len(columns) == 1 and not set(columns) <= set(names):
        ((name, (shape, values)),) = columns.items()
        if len(shape) != 2 or shape[1] != len(names):
            raise bad(f"input {name!r}: shape is not [n, {len(names)}], one column per input")
        return [
            _typed(values[start : start + len(names)], signature.inputs)
            for start in range(0, len(values), len(names))
        ]
    lengths = {len(values) for _, values in columns.values()}
    if len(lengths) != 1:
        raise bad("the inputs have different numbers of rows")
    for name, (shape, _) in columns.items():
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise bad(f"input {name!r}: shape is neither [n] nor [n, 1]")
    lists = [values for _, values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _typed(values: Sequence[Any], inputs: Sequence[Input]) -> list[Any]:
    # A tensor has one datatype for all columns: what is whole in an integer column stays whole,
    # and a boolean column's 0 and 1 are false and true.
    return [
        _TYPED[item.type](value) if item.type in _TYPED else value
        for value, item in zip(values, inputs, strict=True)
    ]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _truth(value: object) -> object:
    return bool(value) if isinstance(value, int | float) and value in {0, 1} else value


_TYPED: Final = {"integer": _whole, "boolean": _truth}


def _variant(request: InferenceRequest) -> str | None:
    given = request.parameters.get("trivet_variant")
    return given if isinstance(given, str) else None


def _outputs(
    signature: Signature, answered: Answered
) -> dict[str, tuple[str, list[int], list[Any]]]:
    rows = len(answered.ids)
    width = _width(signature)
    flat = [value for row in answered.outputs for value in row]
    tensors = ("FP32", [rows, width], flat), ("BYTES", [rows, 1], list[Any](answered.ids))
    return dict(zip(_OUTPUTS, tensors, strict=True))


def _width(signature: Signature) -> int:
    return len(signature.classes) if signature.task == "multiclass" else 1
