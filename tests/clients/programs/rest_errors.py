"""What is refused over the wire: by which status, code and words."""

import json

from judging import check, fresh, judge, same
from speaking import API, JSON, ask, bad, get, good, send

INVALID = "INVALID_PARAMETER_VALUE"
MISSING = "RESOURCE_DOES_NOT_EXIST"


def a_run() -> str:
    experiment = good(send("experiments/create", {"name": fresh("errors")}))["experiment_id"]
    return good(send("runs/create", {"experiment_id": experiment}))["run"]["info"]["run_id"]


@check()
def unknown_routes_are_not_found() -> None:
    for method, path in (
        ("POST", "runs/nothing"),
        ("GET", "nothing/at-all"),
        ("GET", "/api/2.0/nothing"),
        ("POST", "/api/4.0/mlflow/traces"),
        ("POST", "/api/3.0/mlflow/nothing"),
        ("DELETE", "experiments"),
        ("GET", "/api/9.9/mlflow/experiments/search"),
    ):
        answer = ask(
            method, path, b"{}" if method != "GET" else None, JSON if method != "GET" else {}
        )
        same((path, answer.status), (path, 404))
        # Anything else than these two would keep a client from trying the older call.
        assert not answer.body.startswith(b"{") or answer.code == "ENDPOINT_NOT_FOUND", answer.body


@check()
def other_methods_are_refused() -> None:
    for method, path in (
        ("GET", "runs/create"),
        ("PUT", "runs/create"),
        ("POST", "runs/get"),
        ("DELETE", "runs/get"),
    ):
        answer = ask(
            method, path, b"{}" if method != "GET" else None, JSON if method != "GET" else {}
        )
        assert answer.status in {404, 405}, (method, path, answer.status)


@check()
def bodies_that_are_no_json_are_refused() -> None:
    for body in (b'{"name":', b"null", b"{'name': 'x'}", b'{"name": "\xff"}', b"\x00\x01"):
        answer = ask("POST", "experiments/create", body, JSON)
        same((body, answer.status), (body, 400))
        assert answer.code in {INVALID, "BAD_REQUEST"}, (body, answer)


@check()
def other_types_of_content_are_refused() -> None:
    body = json.dumps({"name": fresh("content")}).encode()
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/html",
        "multipart/form-data",
    ):
        answer = ask("POST", "experiments/create", body, {"Content-Type": kind})
        bad(answer, 400, INVALID, "Content-Type")


@check()
def required_fields_are_named() -> None:
    run = a_run()
    for path, body, field in (
        ("experiments/create", {}, "name"),
        ("experiments/delete", {}, "experiment_id"),
        ("experiments/set-experiment-tag", {"experiment_id": "0", "value": "1"}, "key"),
        ("runs/log-metric", {"run_id": run, "value": 1, "timestamp": 1}, "key"),
        ("runs/log-metric", {"run_id": run, "key": "k", "timestamp": 1}, "value"),
        ("runs/log-metric", {"run_id": run, "key": "k", "value": 1}, "timestamp"),
        ("runs/log-metric", {"key": "k", "value": 1, "timestamp": 1}, "run_id"),
        ("runs/log-parameter", {"key": "k", "value": "1"}, "run_id"),
        ("runs/log-parameter", {"run_id": run, "value": "1"}, "key"),
        ("runs/set-tag", {"run_id": run, "value": "1"}, "key"),
        ("runs/delete-tag", {"run_id": run}, "key"),
        ("runs/delete", {}, "run_id"),
        ("runs/update", {}, "run_id"),
        ("registered-models/create", {}, "name"),
        ("model-versions/create", {"name": "a"}, "source"),
        ("model-versions/create", {"source": "a"}, "name"),
        (
            "model-versions/transition-stage",
            {"name": "a", "version": "1", "archive_existing_versions": True},
            "stage",
        ),
        ("registered-models/alias", {"name": "a", "version": "1"}, "alias"),
        ("logged-models", {"name": "a"}, "experiment_id"),
    ):
        bad(send(path, body), 400, INVALID, f"Missing value for required parameter '{field}'")
    for path, field in (
        ("experiments/get", "experiment_id"),
        ("experiments/get-by-name", "experiment_name"),
        ("runs/get", "run_id"),
        ("registered-models/get", "name"),
        ("model-versions/get", "name"),
    ):
        bad(get(path), 400, INVALID, f"Missing value for required parameter '{field}'")
    bad(
        get("metrics/get-history", run_id=run),
        400,
        INVALID,
        "Missing value for required parameter 'metric_key'",
    )


@check()
def values_of_a_wrong_type_are_echoed() -> None:
    run = a_run()
    point = {"run_id": run, "key": "k", "value": 1, "timestamp": 1}
    for path, body, field, shown in (
        ("experiments/create", {"name": 5}, "name", "5"),
        ("experiments/create", {"name": ["a"]}, "name", '["a"]'),
        ("experiments/create", {"name": True}, "name", "true"),
        ("runs/log-metric", {**point, "value": "high"}, "value", '"high"'),
        ("runs/log-metric", {**point, "timestamp": "x"}, "timestamp", '"x"'),
        ("runs/log-metric", {**point, "key": 5}, "key", "5"),
        ("runs/log-parameter", {"run_id": run, "key": "k", "value": 5}, "value", "5"),
        ("runs/set-tag", {"run_id": run, "key": "k", "value": 5}, "value", "5"),
        ("registered-models/create", {"name": 5}, "name", "5"),
    ):
        bad(
            send(path, body),
            400,
            INVALID,
            f"Invalid value {shown} for parameter '{field}' supplied",
        )
    same(good(get("runs/get", run_id=run))["run"]["data"].get("metrics", []), [])


@check()
def wrong_places_in_batches_are_refused() -> None:
    run = a_run()
    metric = {"key": "m", "value": 1, "timestamp": 1, "step": 0}
    accepted = []
    for batch in (
        {"metrics": [{"value": 1, "timestamp": 1}]},
        {"metrics": [{**metric, "timestamp": -1}]},
        {"metrics": [{**metric, "key": "a//b"}]},
        {"metrics": {"key": "m"}},
        {"params": [{"key": "a//b", "value": "1"}]},
        {"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        {"tags": [{"key": "k" * 251, "value": "1"}]},
        {"tags": "x"},
    ):
        answer = send("runs/log-batch", {"run_id": run, **batch})
        if answer.status != 400:
            accepted.append((batch, answer.status))
    same(accepted, [])
    data = good(get("runs/get", run_id=run))["run"]["data"]
    same((data.get("metrics", []), data.get("params", [])), ([], []))


@check()
def batches_have_limits() -> None:
    run = a_run()
    metrics = [{"key": "m", "value": 1, "timestamp": 1, "step": n} for n in range(1001)]
    params = [{"key": f"k{n}", "value": "1"} for n in range(101)]
    most = "A batch logging request can contain at most"
    bad(
        send("runs/log-batch", {"run_id": run, "metrics": metrics}),
        400,
        INVALID,
        f"{most} 1000 metrics. Got 1001",
    )
    bad(
        send("runs/log-batch", {"run_id": run, "params": params}),
        400,
        INVALID,
        f"{most} 100 params. Got 101",
    )
    bad(
        send("runs/log-batch", {"run_id": run, "tags": params}),
        400,
        INVALID,
        f"{most} 100 tags. Got 101",
    )
    many = {"run_id": run, "metrics": metrics[:950], "tags": params[:60]}
    bad(
        send("runs/log-batch", many),
        400,
        INVALID,
        f"{most} 1000 metrics, params, and tags. Got 1010",
    )
    good(send("runs/log-batch", {"run_id": run, "metrics": metrics[:900], "params": params[:100]}))


@check()
def what_is_missing_is_named() -> None:
    run = "0" * 32
    bad(get("runs/get", run_id=run), 404, MISSING, f"Run with id={run} not found")
    bad(
        get("experiments/get", experiment_id="987654321"),
        404,
        MISSING,
        "No Experiment with id=987654321 exists",
    )
    name = fresh("never")
    bad(get("experiments/get-by-name", experiment_name=name), 404, MISSING, name)
    bad(
        get("registered-models/get", name=name),
        404,
        MISSING,
        f"Registered Model with name={name} not found",
    )
    good(send("registered-models/create", {"name": name}))
    wanted = f"Model Version (name={name}, version=3) not found"
    bad(get("model-versions/get", name=name, version="3"), 404, MISSING, wanted)
    bad(
        get("registered-models/alias", name=name, alias="x"),
        400,
        INVALID,
        "Registered model alias x not found",
    )
    bad(get("artifacts/list", run_id=run), 404, MISSING, run)
    bad(get("logged-models/m-" + "0" * 32), 404, MISSING)


@check()
def numbers_of_results_have_limits() -> None:
    run = a_run()
    experiment = good(get("runs/get", run_id=run))["run"]["info"]["experiment_id"]
    for size in (0, -1, 50_001):
        asked = {"experiment_ids": [experiment], "max_results": size}
        bad(send("runs/search", asked), 400, INVALID, "max_results")
    for size in (0, -1):
        answer = get("metrics/get-history", run_id=run, metric_key="m", max_results=size)
        bad(answer, 400, INVALID, "max_results")
    bad(get("experiments/search", max_results=50_001), 400, INVALID, "max_results")
    bad(get("registered-models/search", max_results=1001), 400, INVALID, "max_results")
    bad(get("model-versions/search", max_results=200_001), 400, INVALID, "max_results")


@check()
def tokens_of_pages_are_checked() -> None:
    run = a_run()
    experiment = good(get("runs/get", run_id=run))["run"]["info"]["experiment_id"]
    for token in ("no token", "e30=", "////", "bm90aGluZw=="):
        answers = {
            "runs": send("runs/search", {"experiment_ids": [experiment], "page_token": token}),
            "experiments": get("experiments/search", max_results=5, page_token=token),
            "models": get("registered-models/search", page_token=token),
            "versions": get("model-versions/search", page_token=token),
        }
        statuses = {name: answer.status for name, answer in answers.items()}
        same((token, statuses), (token, dict.fromkeys(answers, 400)))


@check()
def ids_that_are_no_ids_are_refused() -> None:
    bad(get("experiments/get", experiment_id="x"), 400, INVALID, "experiment")
    bad(send("runs/search", {"experiment_ids": ["x"]}), 400, INVALID, "experiment")
    bad(send("runs/create", {"experiment_id": "x"}), 400, INVALID, "experiment")
    for version in ("x", "1.5", "-"):
        answer = get("model-versions/get", name="a", version=version)
        same((version, answer.status), (version, 400))


@check()
def models_of_the_second_generation_are_checked() -> None:
    run = a_run()
    bad(
        send("runs/log-model", {"run_id": run, "model_json": "{"}),
        400,
        INVALID,
        "Malformed model info",
    )
    bad(
        send("runs/log-model", {"run_id": run, "model_json": "{}"}),
        400,
        INVALID,
        "missing mandatory fields",
    )


@check()
def an_error_is_a_json_object_with_a_code_and_a_message() -> None:
    answer = send("experiments/create", {})
    same(answer.headers["content-type"].split(";")[0], "application/json")
    same({"error_code", "message"} - set(answer.json), set())
    same(API, "/api/2.0/mlflow/")


if __name__ == "__main__":
    judge()
