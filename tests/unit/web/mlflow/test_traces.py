"""Traces on the wire, in the words of clients from version 3 and of those before."""

import json
from typing import Any

import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.artifacts import Artifacts

V3 = "/api/3.0/mlflow"
V2 = "/api/2.0/mlflow"


def info(trace: str = "tr-1", experiment: str = "0", **fields: Any) -> dict[str, Any]:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    return {
        "trace_id": trace,
        "trace_location": place,
        "request_time": "2025-01-01T00:00:00.250Z",
        "execution_duration": "1.5s",
        "state": "OK",
        **fields,
    }


def put(wire: Any, trace: str = "tr-1", **fields: Any) -> Any:
    return wire.post(f"{V3}/traces", trace={"trace_info": info(trace, **fields)})["trace"]


def patch(wire: Any, path: str, **fields: Any) -> Any:
    return wire.call("PATCH", path, body=json.dumps(fields).encode())


def test_a_trace_is_answered_as_it_was_sent_with_the_place_of_its_spans(wire: Any) -> None:
    sent = info(
        request_preview='{"x": 1}',
        response_preview="2",
        client_request_id="c-1",
        trace_metadata={"mlflow.modelId": "m-1"},
        tags={"mlflow.traceName": "ask", "mlflow.artifactLocation": "s3://elsewhere"},
    )
    answer = wire.post(f"{V3}/traces", trace={"trace_info": sent})["trace"]["trace_info"]
    location = "mlflow-artifacts:/0/traces/tr-1/artifacts"
    tags = {"mlflow.traceName": "ask", "mlflow.artifactLocation": location}
    assert answer == {**sent, "execution_duration": "1.500s", "tags": tags, "assessments": []}
    assert wire.get(f"{V3}/traces/tr-1")["trace"]["trace_info"] == answer
    assert wire.get("/ajax-api/3.0/mlflow/traces/tr-1")["trace"]["trace_info"] == answer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trace_id", ""),
        ("trace_id", "../../etc"),
        ("request_time", "yesterday"),
        ("request_time", "1969-12-31T23:59:59Z"),
        ("request_time", "2025-02-30T00:00:00Z"),
        ("execution_duration", "-1s"),
        ("execution_duration", "soon"),
        ("state", "FINE"),
        ("tags", ["a"]),
        ("tags", {"a": 1}),
        ("trace_location", {"type": "MLFLOW_EXPERIMENT"}),
        ("trace_location", {"mlflow_experiment": {"experiment_id": "x"}}),
        ("assessments", [{"assessment_name": "n"}]),
    ],
)
def test_what_makes_no_sense_is_refused(
    wire: Any, refused: type[Exception], field: str, value: Any
) -> None:
    with pytest.raises(refused, match="INVALID_PARAMETER_VALUE"):
        wire.post(f"{V3}/traces", trace={"trace_info": {**info(), field: value}})
    assert wire.post(f"{V3}/traces/search", locations=[info()["trace_location"]])["traces"] == []


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000Z"),
        ("2025-01-01T02:30:00.123456789+02:30", "2025-01-01T00:00:00.123Z"),
        ("2025-01-01t00:00:00.1z", "2025-01-01T00:00:00.100Z"),
    ],
)
def test_times_are_read_in_all_forms_that_json_has(wire: Any, sent: str, answered: str) -> None:
    assert put(wire, request_time=sent)["trace_info"]["request_time"] == answered


def test_states_may_be_numbers_and_nothing_at_all(wire: Any) -> None:
    assert put(wire, "tr-1", state=3)["trace_info"]["state"] == "IN_PROGRESS"
    assert put(wire, "tr-2", state="STATE_UNSPECIFIED")["trace_info"]["state"] == (
        "STATE_UNSPECIFIED"
    )
    assert put(wire, "tr-2", state="ERROR")["trace_info"]["state"] == "ERROR"
    assert put(wire, "tr-2", state=None)["trace_info"]["state"] == "ERROR"  # nothing was said


def test_a_search_goes_page_by_page(wire: Any, refused: Any) -> None:
    for number in range(5):
        put(wire, f"tr-{number}", request_time=f"2025-01-01T00:00:0{number}Z")
    asked: dict[str, Any] = {"locations": [info()["trace_location"]], "max_results": 2}
    seen: list[str] = []
    token = ""
    while True:
        page = wire.post(f"{V3}/traces/search", page_token=token, **asked)
        seen += [trace["trace_id"] for trace in page["traces"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == [f"tr-{number}" for number in (4, 3, 2, 1, 0)]
    exact = wire.post(f"{V3}/traces/search", **{**asked, "max_results": 5})
    assert "next_page_token" not in exact
    token = wire.post(f"{V3}/traces/search", **asked)["next_page_token"]
    with pytest.raises(refused, match="Invalid page token"):
        wire.post(f"{V3}/traces/search", page_token=token, filter="name = 'x'", **asked)
    with pytest.raises(refused, match="max_results"):
        wire.post(f"{V3}/traces/search", **{**asked, "max_results": 501})
    with pytest.raises(refused, match="Missing value for required parameter 'locations'"):
        wire.post(f"{V3}/traces/search")


def test_the_tag_with_the_name_is_what_filters_find(wire: Any, refused: Any) -> None:
    put(wire, tags={"mlflow.traceName": "ask"})

    def found(name: str) -> int:
        place = [info()["trace_location"]]
        return len(
            wire.post(f"{V3}/traces/search", locations=place, filter=f"name = '{name}'")["traces"]
        )

    assert found("ask") == 1
    assert patch(wire, f"{V2}/traces/tr-1/tags", key="mlflow.traceName", value="other") == {}
    assert (found("ask"), found("other")) == (0, 1)
    body = json.dumps({"key": "mlflow.traceName"}).encode()
    assert wire.call("DELETE", f"{V2}/traces/tr-1/tags", body=body) == {}
    assert found("other") == 0
    with pytest.raises(refused, match="No trace tag with key"):
        wire.call("DELETE", f"{V3}/traces/tr-1/tags", body=body)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_where_a_traces_files_are_is_not_for_clients_to_say(
    wire: Any, refused: Any, method: str
) -> None:
    put(wire)
    body = json.dumps({"key": "mlflow.artifactLocation", "value": "http://evil"}).encode()
    with pytest.raises(refused, match="immutable"):
        wire.call(method, f"{V2}/traces/tr-1/tags", body=body)


def test_a_trace_comes_with_the_spans_that_were_uploaded(
    wire: Any, refused: Any, stores: Stores
) -> None:
    put(wire)
    with pytest.raises(refused, match="are not here"):
        wire.get(f"{V3}/traces/get", trace_id="tr-1")
    partial = wire.get(f"{V3}/traces/get", trace_id="tr-1", allow_partial=True)
    assert partial["trace"]["spans"] == []
    span = {
        "trace_id": "AAAAAAAAAAAAAAAAAAAAAQ==",
        "span_id": "AAAAAAAAAAI=",
        "parent_span_id": None,
        "name": "ask",
        "start_time_unix_nano": 1,
        "end_time_unix_nano": 2,
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {"mlflow.spanInputs": '{"x": [1, 0.5, null]}'},
    }
    path = "/api/2.0/mlflow-artifacts/artifacts/0/traces/tr-1/artifacts/traces.json"
    wire.call("PUT", path, body=json.dumps({"spans": [span]}).encode())
    (found,) = wire.get(f"{V3}/traces/get", trace_id="tr-1")["trace"]["spans"]
    assert (found["name"], found["span_id"]) == ("ask", "AAAAAAAAAAI=")
    assert found["attributes"][0]["key"] == "mlflow.spanInputs"
    put(wire, "tr-2")
    Artifacts(stores, Scope(project="flights", actor="x")).put("trace:tr-2", "traces.json", b"?")
    both = wire.get(f"{V3}/traces/batchGet", trace_ids=["tr-1", "tr-none", "tr-2"])["traces"]
    assert [len(trace["spans"]) for trace in both] == [1, 0]
    with pytest.raises(refused, match="cannot be read"):
        wire.get(f"{V3}/traces/get", trace_id="tr-2")
    infos = wire.post(f"{V3}/traces/batchGetInfos", trace_ids=["tr-2"], experiment_ids=["0"])
    assert [one["trace_id"] for one in infos["trace_infos"]] == ["tr-2"]
    none = wire.post(f"{V3}/traces/batchGetInfos", trace_ids=["tr-2"], experiment_ids=["1"])
    assert none["trace_infos"] == []


def test_spans_are_answered_in_bounds(
    wire: Any, refused: Any, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivet.web.mlflow.traces._MOST_BATCH_BYTES", 20)
    for trace in ("tr-1", "tr-2"):
        put(wire, trace)
        files = Artifacts(stores, Scope(project="flights", actor="x"))
        files.put(f"trace:{trace}", "traces.json", b'{"spans": []}')
    assert len(wire.get(f"{V3}/traces/batchGet", trace_ids=["tr-1"])["traces"]) == 1
    with pytest.raises(refused, match="Ask for fewer"):
        wire.get(f"{V3}/traces/batchGet", trace_ids=["tr-1", "tr-2"])


def test_files_go_to_traces_that_are_there_alone(wire: Any, refused: Any) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/0/traces/tr-1/artifacts/traces.json"
    with pytest.raises(refused, match="no trace tr-1"):
        wire.call("PUT", path, body=b"{}")


def test_traces_are_deleted_by_name_or_by_time(wire: Any, refused: Any) -> None:
    for number in range(3):
        put(wire, f"tr-{number}", request_time=f"1970-01-01T00:00:0{number}Z")
    path = f"{V2}/traces/delete-traces"

    def delete(**fields: Any) -> int:
        return wire.post(path, experiment_id="0", **fields)["traces_deleted"]

    assert delete(request_ids=["tr-2", "tr-none"]) == 1
    assert delete(max_timestamp_millis=5000, max_traces=1) == 1
    assert wire.get(f"{V3}/traces/tr-1")
    assert delete(max_timestamp_millis="1000") == 1
    for fields in ({}, {"request_ids": ["a"], "max_timestamp_millis": 1}):
        with pytest.raises(refused, match="must be specified"):
            delete(**fields)
    for fields in (
        {"max_traces": 0, "max_timestamp_millis": 1},
        {"max_traces": 1, "request_ids": ["a"]},
    ):
        with pytest.raises(refused, match="max_traces"):
            delete(**fields)


def test_traces_are_linked_to_runs(wire: Any, refused: Any) -> None:
    put(wire)
    run = wire.run()
    path = f"{V2}/traces/link-to-run"
    assert wire.post(path, trace_ids=["tr-1"], run_id=run) == {}
    found = wire.post(
        f"{V3}/traces/search",
        locations=[info()["trace_location"]],
        filter=f"attributes.run_id = '{run}'",
    )
    assert len(found["traces"]) == 1
    with pytest.raises(refused, match="Cannot link more than 100"):
        wire.post(path, trace_ids=["tr-1"] * 101, run_id=run)
    with pytest.raises(refused, match="RESOURCE_DOES_NOT_EXIST"):
        wire.post(path, trace_ids=["tr-1"], run_id="nobody")


def test_older_clients_begin_a_trace_and_end_it(wire: Any, refused: Any) -> None:
    begun = wire.post(
        f"{V2}/traces",
        experiment_id="0",
        timestamp_ms=1000,
        request_metadata=[{"key": "m", "value": "1"}],
        tags=[{"key": "mlflow.traceName", "value": "ask"}],
    )["trace_info"]
    trace = begun["request_id"]
    assert (begun["status"], begun["execution_time_ms"]) == ("IN_PROGRESS", 0)
    location = f"mlflow-artifacts:/0/traces/{trace}/artifacts"
    assert {"key": "mlflow.artifactLocation", "value": location} in begun["tags"]
    ended = patch(
        wire,
        f"{V2}/traces/{trace}",
        timestamp_ms=1250,
        status="OK",
        request_metadata=[{"key": "n", "value": "2"}],
        tags=[{"key": "k", "value": "v"}],
    )["trace_info"]
    assert (ended["status"], ended["execution_time_ms"]) == ("OK", 250)
    assert {item["key"] for item in ended["request_metadata"]} == {"m", "n"}
    assert wire.get(f"{V2}/traces/{trace}/info")["trace_info"] == ended
    found = wire.get(f"{V2}/traces", experiment_ids=["0", "1"], filter="name = 'ask'")
    assert found["traces"] == [ended]
    assert wire.get(f"{V3}/traces/{trace}")["trace"]["trace_info"]["state"] == "OK"
    with pytest.raises(refused, match="before it began"):
        patch(wire, f"{V2}/traces/{trace}", timestamp_ms=1, status="OK")
    with pytest.raises(refused, match="not found"):
        wire.get(f"{V2}/traces/tr-none/info")


def test_spans_over_otlp_are_nobodys_route(wire: Any, refused: Any) -> None:
    with pytest.raises(KeyError):  # the house's own error: clients take it for an older server
        wire.call("POST", "/v1/traces", body=b"{}")
    with pytest.raises(refused, match="ENDPOINT_NOT_FOUND"):
        wire.post(f"{V3}/traces/metrics", experiment_ids=["0"])
    with pytest.raises(refused, match="Trace with ID 'nothing' not found"):
        wire.get(f"{V3}/traces/nothing")
