"""Spans: from the file that clients leave with a trace to OpenTelemetry's JSON.

The file has had three forms: identifiers in base64 (today), in plain hexadecimal (3.5), and the
flat spans of clients before 3. Whatever it says is somebody's upload, and read as such.
"""

import base64
import binascii
import math
from typing import Any, Final, cast

import msgspec

from trivet.core.errors import Invalid
from trivet.web.mlflow.rendering import Message, number

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_MOST_NS: Final = 1 << 64
_MOST_INT: Final = 1 << 63
_CODE: Final = "STATUS_CODE_"
_CODES: Final = frozenset({"UNSET", "OK", "ERROR"})

_Json = dict[str, Any]


def span_messages(content: bytes) -> list[Message]:
    """Render the spans of a file.

    Raises:
        Invalid: It holds something else.
    """
    try:
        spans = msgspec.json.decode(content, type=dict[str, Any]).get("spans", [])
        return [_span(_object(span)) for span in _list(spans)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(
            f"the spans of the trace cannot be read: {type(error).__name__}",
            code="bad-spans",
            hint="Trace the program again.",
        ) from error


def _span(span: _Json) -> Message:
    is_flat = "context" in span
    place = _object(span["context"]) if is_flat else span
    parent = span["parent_id"] if is_flat else span.get("parent_span_id")
    message: Message = {
        "trace_id": _identifier(place["trace_id"], _TRACE_BYTES),
        "span_id": _identifier(place["span_id"], _SPAN_BYTES),
        "name": str(span["name"]),
        "start_time_unix_nano": _time(span["start_time" if is_flat else "start_time_unix_nano"]),
        "attributes": _attributes(span.get("attributes"), is_encoded=True),
        "events": [_event(_object(event)) for event in _list(span.get("events"))],
        "status": _status(span, is_flat=is_flat),
        "links": [_link(_object(link)) for link in _list(span.get("links"))],
    }
    end = span.get("end_time" if is_flat else "end_time_unix_nano")
    if end:
        message["end_time_unix_nano"] = _time(end)
    if parent:
        message["parent_span_id"] = _identifier(parent, _SPAN_BYTES)
    return message


def _event(event: _Json) -> Message:
    return {
        "name": str(event["name"]),
        "time_unix_nano": _time(event.get("time_unix_nano", event.get("timestamp"))),
        "attributes": _attributes(event.get("attributes"), is_encoded=False),
    }


def _link(link: _Json) -> Message:
    return {
        "trace_id": _identifier(link["trace_id"], _TRACE_BYTES),
        "span_id": _identifier(link["span_id"], _SPAN_BYTES),
        "attributes": _attributes(link.get("attributes"), is_encoded=False),
    }


def _status(span: _Json, *, is_flat: bool) -> Message:
    status = _object(span.get("status") or {})
    code = str(span.get("status_code") if is_flat else status.get("code") or "")
    message = span.get("status_message") if is_flat else status.get("message")
    word = code.removeprefix(_CODE)
    return {
        "code": _CODE + (word if word in _CODES else "UNSET"),
        "message": str(message or ""),
    }


def _attributes(values: object, *, is_encoded: bool) -> list[Message]:
    found = _object(values or {})
    return [
        {"key": key, "value": _any_value(_decoded(value) if is_encoded else value)}
        for key, value in found.items()
    ]


def _decoded(value: object) -> object:
    """Return what an attribute says: clients write each as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _any_value(value: object) -> Message:
    if isinstance(value, list):
        items = cast("list[object]", value)
        return {"array_value": {"values": list(map(_any_value, items))}}
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        inside = [{"key": key, "value": _any_value(one)} for key, one in pairs]
        return {"kvlist_value": {"values": inside}}
    return {} if value is None else _plain_value(value)


def _plain_value(value: object) -> Message:
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int) and -_MOST_INT <= value < _MOST_INT:
        return {"int_value": value}
    if isinstance(value, int | float):
        return {"double_value": number(_as_float(value))}
    return {"string_value": str(value)}


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _identifier(value: object, size: int) -> str:
    """Return an identifier in base64, whichever of its forms it has."""
    text = str(value)
    if len(text) == 4 * math.ceil(size / 3) and text.endswith("="):
        content = base64.b64decode(text, validate=True)
    else:
        digits = text.removeprefix("tr-").removeprefix("0x")
        content = binascii.unhexlify(digits.rjust(2 * size, "0"))
    if len(content) != size:
        raise ValueError(size)
    return base64.b64encode(content).decode()


def _time(value: object) -> int:
    time = int(str(value))
    if not 0 <= time < _MOST_NS:
        raise ValueError(time)
    return time


def _object(value: object) -> _Json:
    if not isinstance(value, dict):
        raise TypeError(value)
    return cast("_Json", value)


def _list(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(value)
    return cast("list[object]", value)
