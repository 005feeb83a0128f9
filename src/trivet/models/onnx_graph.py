"""Reading ONNX bytes before anything executes them: what they reach for, and where trees split.

ONNX is Protocol Buffers (https://protobuf.dev/programming-guides/encoding/); the few field numbers
below are those of `onnx.proto` (IR version 10). Reading them here keeps the `onnx` library out of
serving, and decides before the runtime has parsed a single byte. Numeric: imports NumPy.
"""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Corrupt, Invalid

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH: Final = 64

# message -> field number -> message of that field
_CHILDREN: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

# A list attribute is one field per number, a hundred thousand for a large forest: runs of them
# are taken by one expression each rather than one turn of a Python loop per number.
_FLOATS = re.compile(rb"(?:\x3d.{4})+", re.DOTALL)
_INTS = re.compile(rb"(?:\x40[\x80-\xff]*[\x00-\x7f])+")
_SHORT_STRINGS = b"|".join(b"%b.{%d}" % (re.escape(bytes([n])), n) for n in range(17))
_STRINGS = re.compile(rb"(?:\x4a(?:" + _SHORT_STRINGS + rb"))+", re.DOTALL)

_Field = tuple[int, int, int, int]
"""Number, wire type, and the span of the payload (for a varint: its value and 0)."""


def check_onnx(model: bytes) -> None:
    """Refuse bytes that are no self-contained ONNX model.

    A tensor may name a file that holds its values, anywhere the loading process can read; and
    the runtime also knows a second format of its own. Neither has a place in a package.

    Args:
        model: A serialised `ModelProto`.

    Raises:
        Corrupt: The bytes are no ONNX model.
        Invalid: A tensor lies outside the model (code `external-data`).
    """
    if model[4:8] == b"ORTM":
        raise Corrupt(
            "the serving form is in the runtime's own format; expected ONNX",
            code="not-onnx",
            hint="Export the model as ONNX.",
        )
    # Every message is walked, also behind the first graph: repeated fields are merged on reading.
    kinds = {message for message, _, _ in _messages(model, "model", 0, len(model), 0)}
    if "graph" not in kinds:
        raise _not_onnx("it has no graph")


def split_points(model: bytes) -> dict[int, npt.NDArray[np.float32]]:
    """Find the values at which tree ensembles decide, by feature.

    A row that lies exactly on such a value is where a converted model betrays itself when its
    thresholds were rounded; see `parity`.

    Args:
        model: A serialised `ModelProto`.

    Returns:
        Feature number to its distinct finite split values, sorted; empty for other models.
    """
    found: dict[int, npt.NDArray[np.float32]] = {}
    for message, start, end in _messages(model, "model", 0, len(model), 0):
        if message != "node":
            continue
        lists = dict(_list_attributes(model, start, end))
        values, features = lists.get(b"nodes_values"), lists.get(b"nodes_featureids")
        if values is None or features is None or len(values) != len(features):
            continue
        finite = np.isfinite(values)
        for feature in np.unique(features):
            chosen = values[finite & (features == feature)].astype(np.float32)
            before = found.get(int(feature), np.empty(0, np.float32))
            found[int(feature)] = np.unique(np.concatenate([before, chosen]))
    return found


def _messages(
    data: bytes, message: str, start: int, end: int, depth: int
) -> Iterator[tuple[str, int, int]]:
    """Yield every nested message that matters with its span, refusing external tensors."""
    if depth > _MAX_DEPTH:
        raise _not_onnx("it is nested too deeply")
    children = _CHILDREN.get(message, {})
    for number, wire, first, last in _fields(data, start, end, in_attribute=message == "attribute"):
        if message == "tensor" and _is_external(number, wire, first):
            raise Invalid(
                "the ONNX model keeps tensors in files outside itself; expected one whole model",
                code="external-data",
                hint="Save it with its weights inside (onnx.save without external data).",
            )
        child = children.get(number)
        if child is not None:
            if wire != _BYTES:
                raise _not_onnx(f"field {number} of a {child} has the wrong type")
            yield child, first, last
            yield from _messages(data, child, first, last, depth + 1)


def _is_external(number: int, wire: int, value: int) -> bool:
    return number == _EXTERNAL_DATA or (
        number == _DATA_LOCATION and (wire != _VARINT or value != 0)
    )


def _fields(data: bytes, start: int, end: int, *, in_attribute: bool) -> Iterator[_Field]:
    """Yield the fields of a message; runs of numbers in an attribute are passed over."""
    at = start
    while at < end:
        if in_attribute:
            at = _end_of_runs(data, at, end)
            if at >= end:
                return
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield key >> 3, wire, value, 0
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            size, at = _varint(data, at, end)
        if size is None or at + size > end:
            raise _not_onnx("a field is cut short")
        yield key >> 3, wire, at, at + size
        at += size


def _end_of_runs(data: bytes, at: int, end: int) -> int:
    for run in (_FLOATS, _INTS, _STRINGS):
        match = run.match(data, at, end)
        if match:
            at = match.end()
    return at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _not_onnx("a number is cut short")


def _list_attributes(
    data: bytes, start: int, end: int
) -> Iterator[tuple[bytes, npt.NDArray[np.float64]]]:
    """Yield name and numbers of those attributes of a node that say where its trees split."""
    for number, wire, first, last in _fields(data, start, end, in_attribute=False):
        if number != 5 or wire != _BYTES:
            continue
        # Writers put an attribute's name first and its list right behind it.
        key, kind, begin, stop = next(
            _fields(data, first, last, in_attribute=False), (0, _VARINT, 0, 0)
        )
        name = data[begin:stop] if (key, kind) == (1, _BYTES) else b""
        if name == b"nodes_values" and (run := _FLOATS.match(data, stop, last)):
            numbers = np.frombuffer(run.group(), np.uint8).reshape(-1, 5)[:, 1:]
            yield name, np.ascontiguousarray(numbers).view("<f4")[:, 0].astype(np.float64)
        elif name == b"nodes_featureids" and (run := _INTS.match(data, stop, last)):
            yield name, np.array(_ints(run.group()), dtype=np.float64)


def _ints(run: bytes) -> list[int]:
    values: list[int] = []
    at = 0
    while at < len(run):
        value, at = _varint(run, at + 1, len(run))
        values.append(value)
    return values


def _not_onnx(why: str) -> Corrupt:
    return Corrupt(
        f"the serving form is no ONNX model: {why}",
        code="not-onnx",
        hint="Package the model again from its run.",
    )
