"""Tensors of the Open Inference Protocol: JSON and binary, read into plain columns.

Every value is checked against its declared datatype: nothing is wrapped, rounded or guessed.
Numeric: imports NumPy.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import Invalid
from trivet.serving.exchange import MOST_ROWS

Column = tuple[list[int], list[Any]]
"""A tensor's shape and its values, row-major."""

NUMPY: Final[dict[str, str]] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""Datatypes of fixed size, as NumPy names them."""

_MOST_DIMENSIONS: Final = 8
_MOST_VALUES: Final = 1 << 24


class Tensor(msgspec.Struct, kw_only=True):
    """An input tensor as it arrives."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


def read_tensors(tensors: Sequence[Tensor], tail: bytes) -> dict[str, Column]:
    """Read all tensors of a request.

    Args:
        tensors: As the JSON part describes them.
        tail: The bytes behind the JSON part, of those that are binary, in order.

    Raises:
        Invalid: A tensor is given twice, or its shape, datatype, values or bytes disagree.
    """
    if not tensors:
        raise bad("inputs is an empty list; expected at least one tensor")
    columns: dict[str, Column] = {}
    position = 0
    for tensor in tensors:
        if tensor.name in columns:
            raise bad(f"input {tensor.name!r} is given twice")
        count = _count(tensor)
        size = _size(tensor)
        if size is None:
            values = _leaves(tensor, count)
        else:
            values = _unpack(tensor, count, tail[position : position + size], size)
            position += size
        columns[tensor.name] = (tensor.shape, values)
    if position != len(tail):
        raise bad("the body is longer or shorter than its binary tensors say")
    return columns


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    """Write values in the binary layout of the protocol: little-endian, row-major."""
    if datatype == "BYTES":
        encoded = [str(value).encode() for value in values]
        return b"".join(len(item).to_bytes(4, "little") + item for item in encoded)
    return np.asarray(values, NUMPY[datatype]).tobytes()


def is_nan(value: object) -> bool:
    """Say whether a value is the float that is not a number."""
    return isinstance(value, float) and math.isnan(value)


def bad(message: str) -> Invalid:
    """Return the error of a request that the protocol does not allow."""
    return Invalid(
        message, code="bad-request", hint="Ask GET /v2/models/<name> for the inputs it takes."
    )


def _size(tensor: Tensor) -> int | None:
    """Return the size of a binary tensor in bytes, None for one in JSON."""
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == isinstance(tensor.data, msgspec.UnsetType):
        raise bad(f"input {tensor.name!r} needs exactly one of data and binary_data_size")
    if size is not None and (not _is_integer(size) or size < 0):
        raise bad(f"input {tensor.name!r}: binary_data_size is no size in bytes")
    return size


def _count(tensor: Tensor) -> int:
    # The rank is bounded before anything is multiplied: a product of many large integers takes
    # longer than any honest request.
    if not 1 <= len(tensor.shape) <= _MOST_DIMENSIONS:
        raise bad(
            f"input {tensor.name!r}: shape has {len(tensor.shape)} dimensions; "
            f"expected 1 to {_MOST_DIMENSIONS}"
        )
    if any(not 0 <= size <= _MOST_VALUES for size in tensor.shape):
        raise bad(f"input {tensor.name!r}: shape holds a size below 0 or beyond all limits")
    count = math.prod(tensor.shape)
    if tensor.shape[0] > MOST_ROWS or count > _MOST_VALUES:
        raise Invalid(
            f"input {tensor.name!r} has more than {MOST_ROWS} rows",
            code="too-large",
            hint="Split the request.",
        )
    if count == 0:
        raise bad(f"input {tensor.name!r} has no rows; expected at least one")
    if tensor.datatype not in NUMPY and tensor.datatype != "BYTES":
        raise bad(f"input {tensor.name!r}: datatype {tensor.datatype!r} is unknown")
    return count


def _leaves(tensor: Tensor, count: int) -> list[Any]:
    if tensor.datatype == "FP16":
        raise bad(f"input {tensor.name!r}: FP16 has no JSON form; send it as binary data")
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
        raise bad(f"input {tensor.name!r} has not the {count} values that its shape says")
    accepted = _Accepted(tensor.datatype)
    for value in flat:
        if not accepted(value):
            raise bad(
                f"input {tensor.name!r} holds a {type(value).__name__} that is no {tensor.datatype}"
            )
    return flat


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class _Accepted:
    """Which JSON values may stand in a tensor of a datatype; null is a missing value."""

    def __init__(self, datatype: str) -> None:
        self._family = datatype.rstrip("0123456789")
        self._low, self._high = 0, 0
        if self._family in {"INT", "UINT"}:
            limits = np.iinfo(NUMPY[datatype])
            self._low, self._high = int(limits.min), int(limits.max)

    def __call__(self, value: object) -> bool:
        if value is None:
            return self._family != "BOOL"
        if self._family == "BOOL":
            return isinstance(value, bool)
        if self._family == "BYTES":
            return isinstance(value, str)
        if self._family == "FP":
            return isinstance(value, float) or _is_integer(value)
        return isinstance(value, int) and _is_integer(value) and self._low <= value <= self._high


def _unpack(tensor: Tensor, count: int, raw: bytes, size: int) -> list[Any]:
    if len(raw) != size:
        raise bad(f"input {tensor.name!r}: the body ends before its {size} bytes")
    if tensor.datatype == "BYTES":
        return _unpack_bytes(tensor, count, raw)
    kind = np.dtype(NUMPY[tensor.datatype])
    if size != count * kind.itemsize:
        raise bad(f"input {tensor.name!r} has {size} bytes; expected {count * kind.itemsize}")
    if tensor.datatype == "BOOL" and max(raw, default=0) > 1:
        raise bad(f"input {tensor.name!r} holds a byte that is neither 0 nor 1")
    values: NDArray[Any] = np.frombuffer(raw, kind)
    return [None if is_nan(value) else value for value in values.tolist()]


def _unpack_bytes(tensor: Tensor, count: int, raw: bytes) -> list[Any]:
    values: list[str] = []
    position = 0
    while position < len(raw) and len(values) < count:
        length = int.from_bytes(raw[position : position + 4], "little")
        position += 4
        try:
            values.append(raw[position : position + length].decode())
        except UnicodeDecodeError as error:
            raise bad(f"input {tensor.name!r} holds bytes that are no UTF-8") from error
        position += length
    if position != len(raw) or len(values) != count:
        raise bad(f"input {tensor.name!r} has not the {count} elements that its shape says")
    return values
