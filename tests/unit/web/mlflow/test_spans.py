"""Spans: all forms that clients leave become one, and nobody's upload breaks the reader."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.web.mlflow.spans import span_messages

TRACE, SPAN, PARENT = "0" * 31 + "1", "0" * 15 + "2", "0" * 15 + "3"
ATTRIBUTES = {"mlflow.spanInputs": '{"x": 1}', "n": "5", "plain": "no json {"}


def b64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


TODAY = {
    "trace_id": b64(TRACE),
    "span_id": b64(SPAN),
    "parent_span_id": b64(PARENT),
    "name": "ask",
    "start_time_unix_nano": 10,
    "end_time_unix_nano": 20,
    "status": {"code": "STATUS_CODE_ERROR", "message": "bad"},
    "attributes": ATTRIBUTES,
    "events": [{"name": "exception", "time_unix_nano": 15, "attributes": {"type": "E"}}],
    "links": [],
}
PLAIN = {
    **TODAY,
    "trace_id": f"tr-{TRACE}",
    "span_id": SPAN,
    "parent_span_id": PARENT,
    "status": {"code": "ERROR", "message": "bad"},
}
FLAT = {
    "context": {"trace_id": "0x1", "span_id": "0x0000000000000002"},
    "parent_id": "0x3",
    "name": "ask",
    "start_time": 10,
    "end_time": 20,
    "status_code": "ERROR",
    "status_message": "bad",
    "attributes": ATTRIBUTES,
    "events": [{"name": "exception", "timestamp": 15, "attributes": {"type": "E"}}],
}


@pytest.mark.parametrize("span", [TODAY, PLAIN, FLAT])
def test_every_form_becomes_the_same(span: dict[str, Any]) -> None:
    content = json.dumps({"spans": [span], "request": "x"}).encode()
    inputs = {"kvlist_value": {"values": [{"key": "x", "value": {"int_value": 1}}]}}
    assert span_messages(content) == [
        {
            "trace_id": b64(TRACE),
            "span_id": b64(SPAN),
            "parent_span_id": b64(PARENT),
            "name": "ask",
            "start_time_unix_nano": 10,
            "end_time_unix_nano": 20,
            "status": {"code": "STATUS_CODE_ERROR", "message": "bad"},
            "attributes": [
                {"key": "mlflow.spanInputs", "value": inputs},
                {"key": "n", "value": {"int_value": 5}},
                {"key": "plain", "value": {"string_value": "no json {"}},
            ],
            "events": [
                {
                    "name": "exception",
                    "time_unix_nano": 15,
                    "attributes": [{"key": "type", "value": {"string_value": "E"}}],
                }
            ],
            "links": [],
        }
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", {}),
        ("true", {"bool_value": True}),
        ("-7", {"int_value": -7}),
        ("9223372036854775808", {"double_value": 9223372036854775808.0}),
        ("0.5", {"double_value": 0.5}),
        ("-1" + "0" * 400, {"double_value": "-Infinity"}),
        ('"a"', {"string_value": "a"}),
        ("[1]", {"array_value": {"values": [{"int_value": 1}]}}),
        ("{}", {"kvlist_value": {"values": []}}),
    ],
)
def test_attributes_say_what_they_are(text: str, value: dict[str, Any]) -> None:
    (span,) = span_messages(json.dumps({"spans": [{**TODAY, "attributes": {"k": text}}]}).encode())
    assert span["attributes"] == [{"key": "k", "value": value}]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(changed=st.dictionaries(st.sampled_from(sorted({*TODAY, *FLAT})), ANYTHING, max_size=3))
def test_a_span_of_any_form_is_read_or_refused(changed: dict[str, Any]) -> None:
    content = json.dumps({"spans": [{**TODAY, **changed}]}).encode("utf-8", "replace")
    with suppress(Invalid):
        json.dumps(span_messages(content), allow_nan=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"spans": 5}', b'{"spans": [5]}', b"[" * 100_000, b'{"spans": [{}]}'],
)
def test_a_file_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        span_messages(content)
