"""Answers to what no program should send, in the words that programs and their tests look for."""

import json
from typing import Any

import pytest
from tests.unit.web.mlflow.conftest import wire_of

from trivet.core.ports import Stores


def told(refused: Any, call: Any, *given: Any, **fields: Any) -> tuple[int, str, str]:
    with pytest.raises(refused) as raised:
        call(*given, **fields)
    return raised.value.status, raised.value.code, raised.value.message


BULK, INTERVAL = "metrics/get-history-bulk", "metrics/get-history-bulk-interval"
MANY = [f"run-{number}" for number in range(101)]


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        (
            BULK,
            {"metric_key": "k"},
            "GetMetricHistoryBulk request must specify at least one run_id",
        ),
        (BULK, {"run_id": "r"}, "GetMetricHistoryBulk request must specify a metric_key"),
        (BULK, {"run_id": MANY, "metric_key": "k"}, "request cannot specify more than 100 run_ids"),
        (INTERVAL, {"metric_key": "k"}, "Missing value for required parameter 'run_ids'."),
        (INTERVAL, {"run_ids": MANY, "metric_key": "k"}, "must specify at most 100 run_ids."),
        (
            INTERVAL,
            {"run_ids": "r", "metric_key": "k", "max_results": 0},
            "max_results must be between 1 and 2500",
        ),
        (
            "experiments/get",
            {"experiment_id": "x"},
            "Invalid experiment ID 'x'. Experiment ID must",
        ),
        ("experiments/search", {"max_results": 0}, "It must be a positive integer"),
        ("experiments/search", {"max_results": 50_001}, "It must be at most 50000"),
        ("experiments/search", {"filter": "name IS NULL"}, "is only supported for tags"),
        (
            "model-versions/get",
            {"name": "n", "version": "x"},
            "'version' must be an integer, got 'x'",
        ),
        (
            "model-versions/search",
            {"order_by": "run_id"},
            "Invalid attribute key 'run_id' specified",
        ),
        (
            "registered-models/search",
            {"order_by": "creation_timestamp"},
            "Invalid order by key 'creation_timestamp' specified",
        ),
        (
            "registered-models/search",
            {"order_by": ["timestamp", "last_updated_timestamp"]},
            "`order_by` contains duplicate fields",
        ),
    ],
)
def test_a_query_that_makes_no_sense(
    wire: Any, refused: Any, path: str, query: dict[str, Any], words: str
) -> None:
    status, code, message = told(refused, lambda: wire.get(path, **query))
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert words in message


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("experiments/search-datasets", {}, "must specify at least one experiment_id."),
        ("experiments/search-datasets", {"experiment_ids": MANY}, "cannot specify more than 20"),
        ("experiments/update", {"experiment_id": "0"}, "required parameter 'new_name'"),
        ("runs/log-parameter", {"run_id": 31, "key": "k", "value": 41}, "Invalid value 31 for"),
        ("runs/outputs", {"run_id": "r"}, "required parameter 'models'"),
        (
            "registered-models/set-tag",
            {"name": "n", "key": "k", "value": "v" * 100_001},
            "'value' ",
        ),
        (
            "model-versions/create",
            {"name": "n", "source": "/tmp"},  # no file of ours
            "To use a local path as a model version",
        ),
        (
            "model-versions/create",
            {"name": "n", "source": "s3://bucket/a/../../b"},
            "If supplying a source as an http, https,",
        ),
    ],
)
def test_a_body_that_makes_no_sense(
    wire: Any, refused: Any, path: str, fields: dict[str, Any], words: str
) -> None:
    wire.post("registered-models/create", name="n")
    status, code, message = told(refused, lambda: wire.post(path, **fields))
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert words in message


def test_what_is_wrong_with_a_path_is_said_in_two_words_and_no_more(
    wire: Any, refused: Any
) -> None:
    run = wire.run()
    outside = {"path": "../x"}
    about = {"name": "n", "version": "1"}
    calls = (
        lambda: wire.get("artifacts/list", run_id=run, **outside),
        lambda: wire.get("/get-artifact", run_id=run, **outside),
        lambda: wire.get("//model-versions/get-artifact", **about, **outside),
    )
    for call in calls:
        assert told(refused, call) == (400, "INVALID_PARAMETER_VALUE", "Invalid path")


def test_names_of_prompts_and_models_are_of_one_set(wire: Any, refused: Any) -> None:
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    wire.post("registered-models/create", name="model")
    wire.post("registered-models/create", name="prompt", tags=prompt)
    for name, tags, words in (
        ("model", [], "Registered Model (name=model) already exists"),
        ("prompt", prompt, "Prompt (name=prompt) already exists"),
        ("model", prompt, "already taken by a registered model."),
        ("prompt", [], "already taken by a prompt."),
    ):
        again = told(refused, wire.post, "registered-models/create", name=name, tags=tags)
        assert again[:2] == (400, "RESOURCE_ALREADY_EXISTS")
        assert words in again[2]


def test_a_version_of_a_model_that_is_gone_is_what_is_missing(operator: Any, refused: Any) -> None:
    operator.post("registered-models/create", name="n")
    operator.send("DELETE", "registered-models/delete", name="n")
    for number in ("1", "0"):
        missing = told(refused, operator.get, "model-versions/get", name="n", version=number)
        assert missing[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
        assert f"Model Version (name=n, version={number}) not found" in missing[2]


def test_what_an_order_leaves_open_is_decided_by_name_and_the_greater_number(wire: Any) -> None:
    run = wire.read(wire.run())["info"]
    for name in ("b", "a", "b"):
        if (
            wire.get("registered-models/search", filter=f"name = '{name}'")["registered_models"]
            == []
        ):
            wire.post("registered-models/create", name=name)
        source = f"{run['artifact_uri']}/m"
        wire.post("model-versions/create", name=name, source=source, run_id=run["run_id"])

    def found(order: str) -> list[tuple[str, str]]:
        answer = wire.get("model-versions/search", order_by=order)["model_versions"]
        return [(each["name"], each["version"]) for each in answer]

    assert found("version_number DESC") == [("b", "2"), ("a", "1"), ("b", "1")]
    assert found("name DESC") == [("b", "2"), ("b", "1"), ("a", "1")]


@pytest.mark.parametrize(
    ("name", "most"), [("name", 500), ("digest", 36), ("source", 65_535), ("key", 255)]
)
def test_data_sets_have_fields_of_some_length(
    wire: Any, refused: Any, name: str, most: int
) -> None:
    run = wire.run()

    def log(length: int) -> Any:
        fields = {"name": "n", "digest": "d", "source_type": "t", "source": "s", "key": "k"}
        fields[name] = "x" * length
        tags = [{"key": fields.pop("key"), "value": "v"}]
        return wire.post(
            "runs/log-inputs", run_id=run, datasets=[{"dataset": fields, "tags": tags}]
        )

    log(most)
    assert (
        f"'{name}' exceeds the maximum length of {most}" in told(refused, lambda: log(most + 1))[2]
    )


def test_an_expectation_of_many_parts_is_answered_as_text(wire: Any) -> None:
    home = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    info: dict[str, Any] = {"trace_id": "tr-1", "trace_location": home, "state": "OK"}
    info["request_time"] = "2025-01-01T00:00:00Z"
    wire.post("/api/3.0/mlflow/traces", trace={"trace_info": info})
    said: dict[str, Any] = {"assessment_name": "n", "expectation": {"value": {"most_ms": 1000}}}
    said["source"] = {"source_type": "CODE", "source_id": "x"}
    answer = wire.post("/api/3.0/mlflow/traces/tr-1/assessments", assessment=said)["assessment"]
    value = answer["expectation"]["serialized_value"]
    assert (value["serialization_format"], json.loads(value["value"])) == (
        "JSON_FORMAT",
        {"most_ms": 1000},
    )


def test_files_are_found_at_their_other_addresses(wire: Any) -> None:
    run = wire.run()
    ajax = "/ajax-api/2.0/mlflow"
    query = f"run_uuid={run}&path=m%2Fa.json"
    wire.call("POST", f"{ajax}/upload-artifact", body=b'{"a": 1}', query=query)
    uri = wire.read(run)["info"]["artifact_uri"]
    wire.post("registered-models/create", name="n")
    for source in (f"{uri}/m", f"runs:/{run}/m", "models:/n/1"):
        made = wire.post("model-versions/create", name="n", source=source, run_id=run)
        version = made["model_version"]["version"]
        path = "/model-versions/get-artifact"
        assert wire.get(path, name="n", version=version, path="a.json") == {"a": 1}
    assert wire.get("/get-artifact", run_uuid=run, path="m/a.json") == {"a": 1}
    for folder in (".", "./m", "m/."):
        listed = wire.get("artifacts/list", run_id=run, path=folder)["files"]
        assert [each["path"] for each in listed] == ["m" if folder == "." else "m/a.json"]


@pytest.mark.parametrize(
    ("missing", "query"),
    [
        ("run_uuid", ""),
        ("path", "run_uuid=r"),
        ("path", "run_uuid=r&path="),
        ("data", "run_uuid=r&path=a"),
    ],
)
def test_an_upload_that_lacks_something_says_what(
    wire: Any, refused: Any, missing: str, query: str
) -> None:
    call = told(refused, lambda: wire.call("POST", "upload-artifact", query=query))
    assert call == (400, "INVALID_PARAMETER_VALUE", f"Request must specify {missing}.")


SOURCES = ("s3://bucket/model", "runs:/nobody/model", "dbfs:/models/m")


def test_sources_elsewhere_need_leave(stores: Stores, wire: Any, refused: Any) -> None:
    wire.post("registered-models/create", name="n")
    for source in SOURCES:
        with pytest.raises(refused, match="Invalid model version source"):
            wire.post("model-versions/create", name="n", source=source, run_id="nobody")
    free = wire_of(stores, "developer", elsewhere=True)
    for source in SOURCES:
        made = free.post("model-versions/create", name="n", source=source, run_id="nobody")
        version = made["model_version"]
        assert (version["source"], version["run_id"]) == (source, "nobody")
        about = {"name": "n", "version": version["version"]}
        assert free.get("model-versions/get-download-uri", **about)["artifact_uri"] == source
        with pytest.raises(refused):  # handed on, and never opened
            free.get("/model-versions/get-artifact", **about, path="MLmodel")


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "file:///etc",
        "s3://b/../x",
        "s3://b/x%00",
        "s3://b/x%252500",
        "https://host/x",
        "models:/m-1",
        "s3://b/x#y",
    ],
)
def test_leave_for_sources_elsewhere_is_none_for_paths_and_web_servers(
    stores: Stores, refused: Any, source: str
) -> None:
    free = wire_of(stores, "developer", elsewhere=True)
    free.post("registered-models/create", name="n")
    with pytest.raises(refused, match="Invalid model version source"):
        free.post("model-versions/create", name="n", source=source, run_id="nobody")
