"""Whatever a client sends about traces and web hooks, no answer makes it try for minutes."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.web.mlflow.conftest import Refused, Wire, wire_of

from trivet.testing.memory_stores import memory_stores

V3, V2 = "/api/3.0/mlflow", "/api/2.0/mlflow"
PLACE = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
SAID: dict[str, Any] = {
    "assessment_name": "n",
    "source": {"source_type": "CODE", "source_id": "x"},
    "create_time": "2025-01-01T00:00:00Z",
    "feedback": {"value": 1, "error": {"error_code": "E"}},
    "metadata": {"k": "v"},
}
INFO: dict[str, Any] = {
    "trace_id": "tr-1",
    "trace_location": PLACE,
    "request_time": "2025-01-01T00:00:00Z",
    "execution_duration": "1s",
    "state": "OK",
    "tags": {"k": "v"},
    "trace_metadata": {"k": "v"},
    "assessments": [SAID],
}
PAIRS = [{"key": "k", "value": "v"}]
SEARCH = {"filter": "name = 'x'", "order_by": ["name"], "max_results": 5, "page_token": ""}
HOOK = {
    "name": "team",
    "url": "https://example.com/x",
    "events": [{"entity": "PROMPT", "action": "CREATED"}],
    "own_events": ["run.created"],
    "secret": "s",
    "description": "d",
    "status": "ACTIVE",
}
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "put": ("POST", f"{V3}/traces", {"trace": {"trace_info": INFO}}),
    "search": ("POST", f"{V3}/traces/search", {"locations": [PLACE], **SEARCH}),
    "infos": ("POST", f"{V3}/traces/batchGetInfos", {"trace_ids": ["tr-1"]}),
    "tag": ("PATCH", f"{V2}/traces/tr-1/tags", {"key": "k", "value": "v"}),
    "untag": ("DELETE", f"{V2}/traces/tr-1/tags", {"key": "k"}),
    "delete": (
        "POST",
        f"{V2}/traces/delete-traces",
        {"experiment_id": "0", "request_ids": ["a"], "max_timestamp_millis": 1, "max_traces": 1},
    ),
    "link": ("POST", f"{V2}/traces/link-to-run", {"trace_ids": ["tr-1"], "run_id": "r"}),
    "begin": (
        "POST",
        f"{V2}/traces",
        {"experiment_id": "0", "timestamp_ms": 1, "request_metadata": PAIRS, "tags": PAIRS},
    ),
    "end": ("PATCH", f"{V2}/traces/tr-1", {"timestamp_ms": 2**41, "status": "OK", "tags": PAIRS}),
    "find": ("GET", f"{V2}/traces", {"experiment_ids": ["0"], **SEARCH}),
    "get": ("GET", f"{V3}/traces/get", {"trace_id": "tr-1", "allow_partial": "true"}),
    "say": ("POST", f"{V3}/traces/tr-1/assessments", {"assessment": SAID}),
    "resay": (
        "PATCH",
        f"{V3}/traces/tr-1/assessments/a-1",
        {"assessment": {**SAID, "rationale": "r", "valid": True}, "update_mask": "feedback,valid"},
    ),
    "hook": ("POST", f"{V2}/webhooks", HOOK),
    "hooks": ("GET", f"{V2}/webhooks", {"max_results": 1, "page_token": "", "own_events": "true"}),
    "change": ("PATCH", f"{V2}/webhooks/x", HOOK),
    "test": ("POST", f"{V2}/webhooks/x/test", {"event": HOOK["events"][0]}),
}
ODD = st.sampled_from(
    [
        *("", " ", "\x00", "ünï ✓", "../..", "%", "'", "x" * 300, "x" * 70_000, "9" * 40, "NaN"),
        *("true", "0", "-1", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00Z", "1e9s"),
        *("999999999999.999999999s", "http://[", "https://a.b:0/", "\ud800"),
        *("name LIKE '%'", "feedback.x != 'a'", "tags.k IN ('a')", "metadata.x IS NULL", "name ("),
        *(None, True, 0, -1, 2**31, 2**53, 2**63, -(2**70), 10**400, 1.5, 1e308, -0.0),
        *([], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}, [{"key": "k"}], [{"key": None}]),
    ]
)
ANYTHING = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places within a JSON value."""
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoilt(draw: st.DrawFn, fields: dict[str, Any]) -> dict[str, Any]:
    place = draw(st.sampled_from(places(fields)[1:]))
    return changed(fields, place, draw(ANYTHING))


def send(wire: Wire, method: str, path: str, fields: dict[str, Any]) -> int:
    try:
        if method == "GET":
            text = urlencode(fields, doseq=True, errors="replace")
            wire.call(method, path, query=text)
        else:
            wire.call(method, path, body=json.dumps(fields).encode())
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize("name", sorted(REQUESTS))
@given(data=st.data())
def test_no_field_makes_an_answer_of_5xx(name: str, data: st.DataObject) -> None:
    wire = wire_of(memory_stores(), "admin")
    send(wire, *REQUESTS["put"])
    method, path, fields = REQUESTS[name]
    assert send(wire, method, path, data.draw(spoilt(fields))) < 500
    assert send(wire, *REQUESTS["search"]) == 200  # what it left is read without trouble


@pytest.mark.parametrize("name", sorted(set(REQUESTS) - {"resay", "change", "test", "link"}))
def test_what_is_not_spoilt_is_answered(name: str) -> None:
    wire = wire_of(memory_stores(), "admin")
    send(wire, *REQUESTS["put"])
    method, path, fields = REQUESTS[name]
    one_of_two = {key: value for key, value in fields.items() if key != "max_timestamp_millis"}
    alone = {key: value for key, value in one_of_two.items() if key != "max_traces"}
    assert send(wire, method, path, alone) == 200
