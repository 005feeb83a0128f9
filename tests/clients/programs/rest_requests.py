"""How requests may look: other spellings, numbers as text, repeated keys, bodies of DELETE."""

import json
import math

from judging import check, fresh, judge, same
from speaking import API, JSON, ask, bad, get, good, send

INVALID = "INVALID_PARAMETER_VALUE"


def an_experiment() -> str:
    return good(send("experiments/create", {"name": fresh("rest")}))["experiment_id"]


def a_run(experiment: str = "") -> str:
    asked = {"experiment_id": experiment or an_experiment(), "start_time": 5}
    return good(send("runs/create", asked))["run"]["info"]["run_id"]


def run_of(run: str) -> dict[str, object]:
    return good(get("runs/get", run_id=run))["run"]


def own_tags(run: str) -> dict[str, str]:
    tags = {each["key"]: each["value"] for each in run_of(run)["data"].get("tags", [])}
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


@check()
def the_server_says_that_it_is_there() -> None:
    health = ask("GET", "/health")
    same((health.status, health.body.strip()), (200, b"OK"))
    version = ask("GET", "/version")
    same(version.status, 200)
    assert version.body.decode().strip().replace(".", "").isdigit(), version.body
    info = ask("GET", "/api/3.0/mlflow/server-info")
    assert info.status == 404 or isinstance(info.json, dict), info


@check()
def names_of_fields_may_be_in_camel_case() -> None:
    experiment = an_experiment()
    asked = {"experimentId": experiment, "runName": "camel", "startTime": 123}
    info = good(send("runs/create", asked))["run"]["info"]
    same((info["experiment_id"], info["run_name"], info["start_time"]), (experiment, "camel", 123))
    bad(
        send("runs/create", {"experimentId": experiment, "experiment_id": experiment}), 400, INVALID
    )


@check()
def numbers_may_be_text() -> None:
    run = a_run()
    point = {"run_id": run, "key": "m", "value": "1.5", "timestamp": "12", "step": "3"}
    same(good(send("runs/log-metric", point)), {})
    (found,) = run_of(run)["data"]["metrics"]
    same((found["value"], found["timestamp"], found["step"]), (1.5, 12, 3))
    same(type(found["timestamp"]), int)
    (kept,) = good(get("metrics/get-history", run_id=run, metric_key="m"))["metrics"]
    same((kept["value"], kept["timestamp"], kept["step"]), (1.5, 12, 3))


@check()
def numbers_that_json_lacks_are_words() -> None:
    run = a_run()
    for key, value in (("n", "NaN"), ("up", "Infinity"), ("down", "-Infinity")):
        good(send("runs/log-metric", {"run_id": run, "key": key, "value": value, "timestamp": 1}))
    bare = b'{"run_id": "%s", "key": "bare", "value": NaN, "timestamp": 1}' % run.encode()
    assert ask("POST", "runs/log-metric", bare, JSON).status in {200, 400}
    found = {each["key"]: float(each["value"]) for each in run_of(run)["data"]["metrics"]}
    assert math.isnan(found["n"]), found
    assert found["up"] >= 1.7e308, found
    assert found["down"] <= -1.7e308, found


@check()
def kinds_may_be_numbers() -> None:
    run = a_run()
    same(good(send("runs/update", {"run_id": run, "status": 3}))["run_info"]["status"], "FINISHED")
    same(
        good(send("runs/update", {"run_id": run, "status": "FAILED"}))["run_info"]["status"],
        "FAILED",
    )
    bad(send("runs/update", {"run_id": run, "status": 77}), 400, INVALID)
    experiment = run_of(run)["info"]["experiment_id"]
    for view in (3, "ALL", "ACTIVE_ONLY", 1):
        found = good(send("runs/search", {"experiment_ids": [experiment], "run_view_type": view}))
        same(len(found["runs"]), 1)


@check()
def either_name_of_a_run_suffices() -> None:
    run = a_run()
    for name in ("run_id", "run_uuid"):
        same(good(get("runs/get", **{name: run}))["run"]["info"]["run_id"], run)
        good(send("runs/set-tag", {name: run, "key": name, "value": "1"}))
        good(send("runs/log-parameter", {name: run, "key": name, "value": "1"}))
        good(send("runs/log-metric", {name: run, "key": name, "value": 1, "timestamp": 1}))
    same(own_tags(run), {"run_id": "1", "run_uuid": "1"})


@check()
def unknown_fields_are_ignored() -> None:
    run = a_run()
    asked = {"run_id": run, "key": "a", "value": "1", "nothing": {"deep": [1]}, "More": None}
    good(send("runs/set-tag", asked))
    same(own_tags(run), {"a": "1"})
    same(good(get("runs/get", run_id=run, nothing="x"))["run"]["info"]["run_id"], run)


@check()
def a_body_may_be_json_in_json() -> None:
    run = a_run()
    inner = json.dumps({"run_id": run, "key": "a", "value": "1"})
    same(ask("POST", "runs/set-tag", json.dumps(inner).encode(), JSON).status, 200)
    same(own_tags(run), {"a": "1"})


@check()
def a_charset_may_be_named() -> None:
    body = json.dumps({"name": fresh("ünïcode ✓")}, ensure_ascii=False).encode()
    answer = ask(
        "POST", "experiments/create", body, {"Content-Type": "application/json; charset=utf-8"}
    )
    same(answer.status, 200)
    same(answer.headers["content-type"].split(";")[0], "application/json")


@check()
def lists_in_addresses_are_repeated_keys() -> None:
    word = fresh("repeat")
    for letter in "ab":
        good(send("registered-models/create", {"name": f"{word}-{letter}"}))
    found = get(
        "registered-models/search",
        *(("order_by", "name DESC"), ("order_by", "last_updated_timestamp")),
        filter=f"name LIKE '{word}%'",
    )
    same([each["name"][-1] for each in good(found)["registered_models"]], ["b", "a"])
    name = f"{word}-a"
    for stage in ("Staging", "Production"):
        made = good(send("model-versions/create", {"name": name, **a_source()}))["model_version"]
        moved = {
            "name": name,
            "version": made["version"],
            "stage": stage,
            "archive_existing_versions": False,
        }
        good(send("model-versions/transition-stage", moved))
    asked = (("stages", "Staging"), ("stages", "Production"))
    found = good(get("registered-models/get-latest-versions", *asked, name=name))["model_versions"]
    same(
        {each["current_stage"]: each["version"] for each in found},
        {"Staging": "1", "Production": "2"},
    )
    body = {"name": name, "stages": ["Staging"]}
    found = good(send("registered-models/get-latest-versions", body))["model_versions"]
    same([each["version"] for each in found], ["1"])


def a_source() -> dict[str, str]:
    info = run_of(a_run())["info"]
    return {"source": f"{info['artifact_uri']}/model", "run_id": info["run_id"]}


@check()
def experiments_are_searched_by_address_and_by_body() -> None:
    word = fresh("search")
    ids = [
        good(send("experiments/create", {"name": f"{word}-{letter}"}))["experiment_id"]
        for letter in "ab"
    ]
    inside = f"name LIKE '{word}%'"
    orders = (("order_by", "name DESC"), ("order_by", "creation_time"))
    by_address = good(get("experiments/search", *orders, filter=inside, max_results="5"))
    same([each["experiment_id"] for each in by_address["experiments"]], ids[::-1])
    by_body = good(
        send("experiments/search", {"filter": inside, "max_results": 5, "order_by": ["name"]})
    )
    same([each["experiment_id"] for each in by_body["experiments"]], ids)
    assert not by_body.get("next_page_token"), by_body


@check()
def delete_has_a_body() -> None:
    name = fresh("deleted")
    good(send("registered-models/create", {"name": name, "tags": [{"key": "a", "value": "1"}]}))
    good(send("model-versions/create", {"name": name, **a_source()}))
    good(send("registered-models/alias", {"name": name, "alias": "champion", "version": "1"}))
    found = good(get("registered-models/get", name=name))["registered_model"]
    same(found["aliases"], [{"alias": "champion", "version": "1"}])
    good(send("registered-models/delete-tag", {"name": name, "key": "a"}, "DELETE"))
    good(send("registered-models/alias", {"name": name, "alias": "champion"}, "DELETE"))
    good(send("model-versions/delete", {"name": name, "version": "1"}, "DELETE"))
    found = good(get("registered-models/get", name=name))["registered_model"]
    same((found.get("aliases", []), found.get("tags", [])), ([], []))
    good(send("registered-models/delete", {"name": name}, "DELETE"))
    bad(get("registered-models/get", name=name), 404, "RESOURCE_DOES_NOT_EXIST")


@check()
def the_last_page_has_no_token() -> None:
    experiment = an_experiment()
    a_run(experiment)
    found = good(send("runs/search", {"experiment_ids": [experiment], "max_results": 1}))
    same((len(found["runs"]), found.get("next_page_token", "")), (1, ""))


@check()
def what_is_missing_is_left_out_or_empty() -> None:
    same(good(send("runs/search", {"experiment_ids": [an_experiment()]})).get("runs", []), [])
    same(good(get("metrics/get-history", run_id=a_run(), metric_key="x")).get("metrics", []), [])
    assert not run_of(a_run())["info"].get("end_time"), "a run that goes on has an end"


@check()
def a_history_is_thinned_by_steps() -> None:
    run = a_run()
    points = [{"key": "m", "value": n / 2, "timestamp": n, "step": n} for n in range(500)]
    good(send("runs/log-batch", {"run_id": run, "metrics": points}))
    asked = {"run_ids": run, "metric_key": "m"}
    found = good(get("metrics/get-history-bulk-interval", **asked, max_results=10))["metrics"]
    steps = [each["step"] for each in found]
    assert 3 <= len(steps) <= 11, steps
    same(steps, sorted(steps))
    same((steps[0], steps[-1], found[1]["run_id"]), (0, 499, run))
    some = good(get("metrics/get-history-bulk-interval", **asked, start_step=10, end_step=20))[
        "metrics"
    ]
    same([each["step"] for each in some], list(range(10, 21)))
    bad(get("metrics/get-history-bulk-interval", **asked, start_step=10), 400, INVALID)
    bad(get("metrics/get-history-bulk-interval", **asked, max_results=2501), 400, INVALID)
    bulk = good(get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id=run, metric_key="m"))
    same(len(bulk["metrics"]), 500)


@check()
def datasets_of_experiments_are_summed_up() -> None:
    run = a_run()
    experiment = run_of(run)["info"]["experiment_id"]
    dataset = {"name": "iris", "digest": "d", "source_type": "local", "source": "x"}
    tags = [{"key": "mlflow.data.context", "value": "train"}]
    good(send("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset, "tags": tags}]}))
    asked = {"experiment_ids": [experiment]}
    found = good(send("/ajax-api/2.0/mlflow/experiments/search-datasets", asked))[
        "dataset_summaries"
    ]
    wanted = {"experiment_id": experiment, "name": "iris", "digest": "d", "context": "train"}
    same(found, [wanted])


@check()
def the_wire_is_told_in_whole_numbers_and_plain_names() -> None:
    info = run_of(a_run())["info"]
    same((info["status"], info["lifecycle_stage"], info["start_time"]), ("RUNNING", "active", 5))
    same((info["run_id"], type(info["experiment_id"])), (info["run_uuid"], str))
    experiment = good(get("experiments/get", experiment_id="0"))["experiment"]
    same((experiment["name"], type(experiment["creation_time"])), ("Default", int))
    same(API, "/api/2.0/mlflow/")


if __name__ == "__main__":
    judge()
