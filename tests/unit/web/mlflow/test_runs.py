import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trivet.core.clock import SystemClock
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.retention.facts import Rule
from trivet.tracking.retention.rules import Retention
from trivet.workspace.collecting import Collector
from trivet.workspace.retiring import Retiring


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def as_mapping(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["key"]: item["value"] for item in items}


def test_a_run_is_what_was_said_of_it(wire: Any) -> None:
    number = wire.experiment()
    made = wire.post(
        "runs/create",
        experiment_id=number,
        user_id="ada",
        run_name="first",
        start_time=1_700_000_000_000,
        tags=pairs({"k": "v"}),
    )["run"]
    info = made["info"]
    assert info == wire.read(info["run_id"])["info"]
    assert info == {
        "run_id": info["run_id"],
        "run_uuid": info["run_id"],
        "run_name": "first",
        "experiment_id": number,
        "user_id": "ada",
        "status": "RUNNING",
        "start_time": 1_700_000_000_000,
        "artifact_uri": f"mlflow-artifacts:/{number}/{info['run_id']}/artifacts",
        "lifecycle_stage": "active",
    }
    assert as_mapping(made["data"]["tags"]) == {"k": "v", "mlflow.runName": "first"}


def test_the_last_time_of_64_bits_is_answered_within_them(wire: Any) -> None:
    number, last = wire.experiment(), (1 << 63) - 1
    run = wire.post("runs/create", experiment_id=number, start_time=last)["run"]["info"]["run_id"]
    wire.post("runs/update", run_id=run, status="FINISHED", end_time=last)
    (found,) = wire.post("runs/search", experiment_ids=[number])["runs"]
    assert (found["info"]["start_time"], found["info"]["end_time"]) == (last, last)


def test_a_run_without_a_name_gets_one(wire: Any) -> None:
    run = wire.read(wire.run())
    assert run["info"]["run_name"]
    assert as_mapping(run["data"]["tags"])["mlflow.runName"] == run["info"]["run_name"]


def test_the_name_of_a_run_and_its_tag_are_one_thing(wire: Any, refused: Any) -> None:
    run = wire.run(tags=pairs({"mlflow.runName": "by tag"}))
    assert wire.read(run)["info"]["run_name"] == "by tag"
    wire.post("runs/set-tag", run_id=run, key="mlflow.runName", value="again")
    assert wire.read(run)["info"]["run_name"] == "again"
    wire.post("runs/update", run_id=run, run_name="third")
    found = wire.read(run)
    assert as_mapping(found["data"]["tags"])["mlflow.runName"] == "third"
    assert found["info"]["status"] == "RUNNING"
    with pytest.raises(refused, match="different values"):
        wire.run(run_name="a", tags=pairs({"mlflow.runName": "b"}))


def test_ending_a_run_leaves_its_name(wire: Any) -> None:
    run = wire.run(run_name="r")
    answer = wire.post("runs/update", run_uuid=run, status="FINISHED", end_time="2000")
    assert answer["run_info"]["status"] == "FINISHED"
    assert answer["run_info"]["end_time"] == 2000
    wire.post("runs/update", run_id=run, status=4)  # by number: FAILED
    info = wire.read(run)["info"]
    assert (info["status"], info["run_name"], info["end_time"]) == ("FAILED", "r", 2000)


def test_parameters_are_written_once(wire: Any, refused: Any) -> None:
    run = wire.run()
    for _ in range(2):
        wire.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    for path, fields in (
        ("runs/log-parameter", {"key": "lr", "value": "0.2"}),
        ("runs/log-batch", {"params": pairs({"new": "1", "lr": "0.2"})}),
    ):
        with pytest.raises(refused) as caught:
            wire.post(path, run_id=run, **fields)
        assert caught.value.status == 400
        assert caught.value.message.startswith("Changing param values is not allowed")
    wire.post("runs/log-parameter", run_id=run, key="empty", value="")
    assert as_mapping(wire.read(run)["data"]["params"]) == {"lr": "0.1", "empty": ""}


def test_a_refused_batch_writes_nothing(wire: Any, refused: Any) -> None:
    run = wire.run()
    metrics = [
        {"key": "loss", "value": 1.0, "timestamp": 1, "step": 0},
        {"key": "../loss", "value": 1.0, "timestamp": 1, "step": 0},
    ]
    with pytest.raises(refused, match="Invalid value"):
        wire.post(
            "runs/log-batch",
            run_id=run,
            metrics=metrics,
            params=pairs({"a": "1"}),
            tags=pairs({"b": "2"}),
        )
    data = wire.read(run)["data"]
    assert (data["metrics"], data["params"]) == ([], [])
    assert "b" not in as_mapping(data["tags"])


def test_deleted_runs_take_nothing_and_come_back(wire: Any, refused: Any) -> None:
    number = wire.experiment()
    run = wire.run(number, run_name="r")
    for _ in range(2):
        wire.post("runs/delete", run_id=run)
    for path, fields in (
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-parameter", {"key": "p", "value": "1"}),
        ("runs/set-tag", {"key": "t", "value": "1"}),
        ("runs/log-batch", {}),
        ("runs/update", {"status": "FINISHED"}),
    ):
        with pytest.raises(refused, match="must be in the 'active' state") as caught:
            wire.post(path, run_id=run, **fields)
        assert (caught.value.status, caught.value.code) == (400, "INVALID_PARAMETER_VALUE")
    assert wire.found(number) == []
    assert wire.found(number, run_view_type="DELETED_ONLY") == ["r"]
    assert wire.found(number, run_view_type="ALL") == ["r"]
    wire.post("runs/restore", run_id=run)
    assert wire.found(number) == ["r"]


def test_a_run_that_was_removed_for_good_is_no_run_any_more(
    wire: Any, refused: Any, stores: Stores, scope: Scope
) -> None:
    number = wire.experiment()
    run, other = wire.run(number, run_name="r"), wire.run(number, run_name="other")
    wire.post("runs/log-metric", run_id=run, key="m", value=1, timestamp=1)
    wire.post("runs/delete", run_id=run)
    experiments = Experiments(stores, scope, SystemClock())
    rules = Retention(stores, scope, experiments)
    rules.set(Rule(trash_days=1))
    for days, is_there in ((0.5, True), (1.5, False)):
        now = datetime.now(UTC) + timedelta(days=days)
        retiring = Retiring(stores, experiments, rules, scope.project, now=now, override=Rule())
        Collector(stores, scope, experiments, retiring, grace_s=0).collect()
        assert wire.found(number, run_view_type="DELETED_ONLY") == (["r"] if is_there else [])
    for path, fields in (
        ("runs/restore", {}),
        ("runs/delete", {}),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-batch", {"tags": pairs({"a": "b"})}),
        ("runs/set-tag", {"key": "t", "value": "1"}),
    ):
        with pytest.raises(refused) as caught:
            wire.post(path, run_id=run, **fields)
        assert (caught.value.status, caught.value.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    for path in ("runs/get", "artifacts/list"):
        with pytest.raises(refused) as caught:
            wire.get(path, run_id=run)
        assert (caught.value.status, caught.value.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert wire.found(number, run_view_type="ALL") == ["other"]
    assert wire.read(other)["info"]["run_name"] == "other"


def test_an_unknown_run_is_named(wire: Any, refused: Any) -> None:
    for run in ("f" * 32, "nobody", "a/b"):
        with pytest.raises(refused, match=f"Run with id={run} not found") as caught:
            wire.get("runs/get", run_id=run)
        assert caught.value.status == 404
    with pytest.raises(refused, match="Missing value for required parameter 'run_id'"):
        wire.get("runs/get")


def test_tags_are_taken_away_once(wire: Any, refused: Any) -> None:
    run = wire.run()
    wire.post("runs/set-tag", run_id=run, key="t", value="1")
    wire.post("runs/delete-tag", run_id=run, key="t")
    with pytest.raises(refused, match="No tag with name: t") as caught:
        wire.post("runs/delete-tag", run_id=run, key="t")
    assert caught.value.status == 404


def test_inputs_are_kept_once_with_their_first_tags(wire: Any) -> None:
    run = wire.run()
    for context in ("train", "eval"):
        dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
        tags = pairs({"mlflow.data.context": context})
        wire.post("runs/log-inputs", run_id=run, datasets=[{"tags": tags, "dataset": dataset}])
    (found,) = wire.read(run)["inputs"]["dataset_inputs"]
    assert found["dataset"]["name"] == "d"
    assert as_mapping(found["tags"]) == {"mlflow.data.context": "train"}


def test_the_data_sets_of_experiments_are_listed_once_for_each_use(wire: Any, refused: Any) -> None:
    number = wire.experiment()
    for context in ("train", "eval", "train"):
        dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
        tags = pairs({"mlflow.data.context": context})
        run = wire.run(number)
        wire.post("runs/log-inputs", run_id=run, datasets=[{"tags": tags, "dataset": dataset}])
    found = wire.post("experiments/search-datasets", experiment_ids=[number, "0"])
    assert sorted(item["context"] for item in found["dataset_summaries"]) == ["eval", "train"]
    for wrong in ([], [number] * 21, ["x"]):
        with pytest.raises(refused) as caught:
            wire.post("experiments/search-datasets", experiment_ids=wrong)
        assert caught.value.status == 400


def test_models_of_older_clients_are_kept_in_a_tag(wire: Any, refused: Any) -> None:
    run = wire.run()
    described = {"artifact_path": "m", "flavors": {}, "utc_time_created": "now", "run_id": run}
    for _ in range(2):
        wire.post("runs/log-model", run_id=run, model_json=json.dumps(described))
    kept = as_mapping(wire.read(run)["data"]["tags"])["mlflow.log-model.history"]
    assert json.loads(kept) == [described, described]
    deep = json.dumps(described)[:-1] + f', "signature": {"[" * 5_000}{"]" * 5_000}}}'
    for wrong in ("{", "[]", '{"artifact_path": "m"}', deep):
        with pytest.raises(refused) as caught:
            wire.post("runs/log-model", run_id=run, model_json=wrong)
        assert caught.value.status == 400
    wire.post("runs/set-tag", run_id=run, key="mlflow.log-model.history", value="none")
    with pytest.raises(refused, match="is no JSON list of models") as caught:
        wire.post("runs/log-model", run_id=run, model_json=json.dumps(described))
    assert caught.value.status == 400


def test_runs_are_found_by_what_they_reported(wire: Any) -> None:
    number = wire.experiment()
    for name, loss, kind in (("a", 0.3, "tree"), ("b", 0.1, "Tree"), ("c", "NaN", "net")):
        run = wire.run(number, run_name=name)
        wire.post("runs/log-parameter", run_id=run, key="kind", value=kind)
        wire.post("runs/log-metric", run_id=run, key="loss", value=loss, timestamp=5)
        dataset = {"name": f"d{name}", "digest": "1", "source_type": "x", "source": "y"}
        tags = pairs({"mlflow.data.context": "train"})
        wire.post("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": tags}])
    wire.post("runs/update", run_id=run, status="FINISHED")
    wire.run(number, run_name="d")
    by_name = {"order_by": ["attributes.run_name"]}
    cases = {
        "metrics.loss < 0.2": ["b"],
        "metrics.loss != 0.1": ["a", "c"],
        "params.kind = 'tree'": ["a"],
        "params.kind ILIKE 'TREE'": ["a", "b"],
        "params.kind IS NULL": ["d"],
        "metrics.loss > 0 AND params.kind LIKE '%ee'": ["a", "b"],
        "metrics.loss < 0.2 OR params.kind = 'net'": ["b", "c"],
        "status = 'FINISHED'": ["c"],
        "attributes.status != 'RUNNING'": ["c"],
        "status ILIKE 'fin%'": ["c"],
        "datasets.name = 'da'": ["a"],
        "dataset.name IN ('da', 'db')": ["a", "b"],
        "datasets.context = 'train'": ["a", "b", "c"],
        "run_name LIKE '_'": ["a", "b", "c", "d"],
        f"run_id = '{run}'": ["c"],
        f"run_id NOT IN ('{run}')": ["a", "b", "d"],
        "tags.`mlflow.runName` = 'a'": ["a"],
    }
    assert {text: wire.found(number, text, **by_name) for text in cases} == cases


def test_runs_are_ordered_with_nan_behind_numbers_and_missing_ones_last(wire: Any) -> None:
    number = wire.experiment()
    for name, loss in (("a", 0.3), ("b", 0.1), ("c", "NaN"), ("d", None)):
        run = wire.run(number, run_name=name)
        if loss is not None:
            wire.post("runs/log-metric", run_id=run, key="loss", value=loss, timestamp=5)
    assert wire.found(number, order_by=["metrics.loss ASC"]) == ["b", "a", "c", "d"]
    assert wire.found(number, order_by=["metrics.loss DESC"]) == ["a", "b", "c", "d"]


def test_an_order_that_repeats_or_is_none_is_refused(wire: Any, refused: Any) -> None:
    for order in (["metrics.a", "metrics.a DESC"], ["nonsense"], [""], ["metrics.a sideways"]):
        with pytest.raises(refused) as caught:
            wire.found("0", order_by=order)
        assert caught.value.status == 400


def test_pages_of_runs_show_each_once_while_others_are_added(wire: Any, refused: Any) -> None:
    number = wire.experiment()
    for place in range(7):
        wire.run(number, run_name=f"r{place}")
    seen: list[str] = []
    token = ""
    while True:
        search = {"experiment_ids": [number], "max_results": 2, "page_token": token}
        page = wire.post("runs/search", **search, order_by=["run_name"])
        seen += [run["info"]["run_name"] for run in page["runs"]]
        token = page.get("next_page_token", "")
        if not token:
            break
        wire.run(number, run_name="a new one, before all others")
        with pytest.raises(refused, match="Invalid page token"):
            wire.post("runs/search", **{**search, "page_token": token}, order_by=["run_id"])
    assert seen == [f"r{place}" for place in range(7)]
