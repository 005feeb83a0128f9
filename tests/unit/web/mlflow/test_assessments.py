"""Assessments on the wire."""

import json
from typing import Any

import pytest

PATH = "/api/3.0/mlflow/traces/tr-1/assessments"


@pytest.fixture(autouse=True)
def trace(wire: Any) -> None:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    said = {"trace_id": "tr-1", "trace_location": place, "request_time": "2025-01-01T00:00:00Z"}
    wire.post("/api/3.0/mlflow/traces", trace={"trace_info": said})


def feedback(**fields: Any) -> dict[str, Any]:
    return {
        "assessment_name": "good",
        "trace_id": "tr-1",
        "source": {"source_type": "HUMAN", "source_id": "ada"},
        "create_time": "2025-01-01T00:00:00.500Z",
        "last_update_time": "2025-01-01T00:00:00.500Z",
        "feedback": {"value": True},
        **fields,
    }


def say(wire: Any, **fields: Any) -> Any:
    return wire.post(PATH, assessment=feedback(**fields))["assessment"]


def patch(wire: Any, assessment: str, mask: Any, **fields: Any) -> Any:
    body = {"assessment": {"assessment_id": assessment, **fields}, "update_mask": mask}
    return wire.call("PATCH", f"{PATH}/{assessment}", body=json.dumps(body).encode())["assessment"]


@pytest.mark.parametrize(
    "value",
    [
        {"feedback": {"value": {"deep": [1, None]}}},
        {
            "feedback": {
                "value": None,
                "error": {"error_code": "TIMEOUT", "error_message": "late", "stack_trace": ""},
            }
        },
        {"feedback": None, "expectation": {"value": "42"}},
        {
            "feedback": None,
            "expectation": {
                "serialized_value": {"serialization_format": "JSON_FORMAT", "value": "[1]"}
            },
        },
        {"feedback": None, "issue": {"issue_name": "too slow"}},
    ],
)
def test_what_is_said_comes_back(wire: Any, value: dict[str, Any]) -> None:
    made = say(wire, rationale="so it is", span_id="s-1", metadata={"k": "v"}, **value)
    sent = {name: item for name, item in feedback(**value).items() if item is not None}
    expected = {**sent, "rationale": "so it is", "span_id": "s-1", "metadata": {"k": "v"}}
    identifier = made["assessment_id"]
    assert made == {**expected, "assessment_id": identifier, "valid": True}
    assert wire.get(f"{PATH}/{identifier}")["assessment"] == made
    trace = wire.get("/api/3.0/mlflow/traces/tr-1")["trace"]["trace_info"]
    assert trace["assessments"] == [made]


@pytest.mark.parametrize(
    "mask",
    ["feedback,rationale,metadata", "feedback,rationale,metadata,assessmentName", None],
)
def test_only_the_fields_of_the_mask_change(wire: Any, mask: str | None) -> None:
    made = say(wire, metadata={"a": "1"})
    now = patch(
        wire,
        made["assessment_id"],
        mask or {"paths": ["feedback", "rationale", "metadata"]},
        feedback={"value": 3},
        rationale="why",
        metadata={"b": "2"},
        assessment_name="other",
        span_id="unasked",
    )
    assert now["feedback"] == {"value": 3}
    assert (now["rationale"], now["metadata"]) == ("why", {"a": "1", "b": "2"})
    assert now["assessment_name"] == ("other" if mask and "assessmentName" in mask else "good")
    assert "span_id" not in now


def test_what_makes_no_sense_is_refused(wire: Any, refused: Any) -> None:
    made = say(wire)["assessment_id"]
    for fields in (
        {"feedback": None},
        {"expectation": {"value": 1}},
        {"assessment_name": ""},
        {"source": {"source_type": "ORACLE"}},
        {"create_time": "now"},
        {"metadata": [1]},
    ):
        with pytest.raises(refused, match="INVALID_PARAMETER_VALUE"):
            say(wire, **fields)
    with pytest.raises(refused, match="Cannot update expectation value on a Feedback"):
        patch(wire, made, "expectation", expectation={"value": 1})
    with pytest.raises(refused, match="update_mask"):
        patch(wire, made, "span_id", span_id="x")
    with pytest.raises(refused, match="Missing value"):
        patch(wire, made, "")


def test_an_assessment_is_withdrawn(wire: Any, refused: Any) -> None:
    first = say(wire)["assessment_id"]
    second = say(wire, feedback={"value": False}, overrides=first)["assessment_id"]
    assert wire.get(f"{PATH}/{first}")["assessment"]["valid"] is False
    assert wire.call("DELETE", f"{PATH}/{second}") == {}
    assert wire.get(f"{PATH}/{first}")["assessment"]["valid"] is True
    with pytest.raises(refused, match=r"RESOURCE_DOES_NOT_EXIST.*not found for trace"):
        wire.get(f"{PATH}/{second}")
