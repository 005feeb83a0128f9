import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivet.core.ports import Stores
from trivet.tracking.reporting.logged_facts import LoggedModelChanged, LoggedModelMade


def made(wire: Any, experiment: str, name: str = "forest", **fields: Any) -> str:
    answer = wire.post("logged-models", experiment_id=experiment, name=name, **fields)
    return answer["model"]["info"]["model_id"]


def shown(wire: Any, model: str) -> Any:
    return wire.get(f"logged-models/{model}")["model"]


def point(wire: Any, run: str, key: str, value: Any, **fields: Any) -> None:
    given_ = {"timestamp": 1, "step": 0, **fields}
    wire.post("runs/log-metric", run_id=run, key=key, value=value, **given_)


def found(wire: Any, experiment: str, filter: str = "", **fields: Any) -> list[str]:  # noqa: A002  # the wire's own name
    answer = wire.post("logged-models/search", experiment_ids=[experiment], filter=filter, **fields)
    return [model["info"]["name"] for model in answer["models"]]


def pairs(items: list[Any]) -> dict[str, str]:
    return {item["key"]: item["value"] for item in items}


def test_a_model_is_pending_until_its_files_are_there(wire: Any) -> None:
    experiment = wire.experiment()
    model = made(wire, experiment, params=[{"key": "depth", "value": "3"}], model_type="tree")
    info = shown(wire, model)["info"]
    assert info["status"] == "LOGGED_MODEL_PENDING"
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/models/{model}/artifacts"
    wire.send("PATCH", f"logged-models/{model}", status="LOGGED_MODEL_READY")
    after = shown(wire, model)
    assert after["info"]["status"] == "LOGGED_MODEL_READY"
    assert pairs(after["data"]["params"]) == {"depth": "3"}


def test_a_status_may_come_as_a_number_and_nothing_else(wire: Any, refused: Any) -> None:
    model = made(wire, wire.experiment())
    answer = wire.send("PATCH", f"logged-models/{model}", status=3)
    assert answer["model"]["info"]["status"] == "LOGGED_MODEL_UPLOAD_FAILED"
    for status in ("READY", 0, None):
        with pytest.raises(refused, match="status"):
            wire.send("PATCH", f"logged-models/{model}", status=status)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a.b", "50%", 'say "a"', "it's", "x" * 501])
def test_a_name_that_could_be_taken_for_an_address_is_refused(
    wire: Any, refused: Any, name: str
) -> None:
    with pytest.raises(refused) as raised:
        made(wire, wire.experiment(), name)
    assert (raised.value.status, raised.value.code) == (400, "INVALID_PARAMETER_VALUE")


def test_a_model_without_a_name_gets_one(wire: Any) -> None:
    answer = wire.post("logged-models", experiment_id=wire.experiment())
    assert answer["model"]["info"]["name"]


def test_tags_change_and_parameters_do_not(wire: Any, refused: Any) -> None:
    model = made(wire, wire.experiment(), tags=[{"key": "a", "value": "1"}])
    wire.send("PATCH", f"logged-models/{model}/tags", tags=[{"key": "b/c", "value": "2"}])
    wire.send("DELETE", f"logged-models/{model}/tags/a")
    assert pairs(shown(wire, model)["info"]["tags"]) == {"b/c": "2"}
    wire.send("DELETE", f"logged-models/{model}/tags/b/c")
    with pytest.raises(refused) as raised:
        wire.send("DELETE", f"logged-models/{model}/tags/a")
    assert raised.value.status == 404
    for _ in range(2):
        wire.post(f"logged-models/{model}/params", params=[{"key": "p", "value": "1"}])
    with pytest.raises(refused, match="Changing param values is not allowed"):
        wire.post(f"logged-models/{model}/params", params=[{"key": "p", "value": "2"}])


def test_points_of_a_run_belong_to_the_run_and_the_model(wire: Any) -> None:
    experiment = wire.experiment()
    run, model = wire.run(experiment), made(wire, experiment)
    point(wire, run, "acc", 0.5, step=1, model_id=model)
    point(wire, run, "acc", 0.9, step=2, model_id=model, dataset_name="d", dataset_digest="x")
    point(wire, run, "own", 7.0)
    metrics = shown(wire, model)["data"]["metrics"]
    told = {
        (m["value"], m["step"], m.get("dataset_name"), m.get("dataset_digest")) for m in metrics
    }
    assert told == {(0.5, 1, None, None), (0.9, 2, "d", "x")}
    assert {m["run_id"] for m in metrics} == {run}
    assert {m["key"]: m["value"] for m in wire.read(run)["data"]["metrics"]} == {
        "acc": 0.9,
        "own": 7.0,
    }


def test_a_batch_about_an_unknown_model_writes_nothing(wire: Any, refused: Any) -> None:
    run = wire.run()
    metrics = [
        {"key": "a", "value": 1, "timestamp": 1},
        {"key": "b", "value": 1, "timestamp": 1, "model_id": "m-" + "0" * 32},
    ]
    with pytest.raises(refused) as raised:
        wire.post(
            "runs/log-batch", run_id=run, metrics=metrics, params=[{"key": "p", "value": "1"}]
        )
    assert raised.value.code == "RESOURCE_DOES_NOT_EXIST"
    assert wire.read(run)["data"] == {
        "metrics": [],
        "params": [],
        "tags": wire.read(run)["data"]["tags"],
    }


def test_a_condition_on_a_metric_holds_for_any_point(wire: Any) -> None:
    experiment = wire.experiment()
    run = wire.run(experiment)
    rises, falls = made(wire, experiment, "rises"), made(wire, experiment, "falls")
    for step, value in enumerate([0.1, 0.5, 0.9]):
        point(wire, run, "acc", value, step=step, timestamp=step, model_id=rises)
        point(wire, run, "acc", -value, step=step, timestamp=step, model_id=falls)
    assert found(wire, experiment, "metrics.acc < 0.2 AND metrics.acc > 0.8") == ["rises"]
    assert found(wire, experiment, "metrics.acc <= -0.9") == ["falls"]
    assert found(wire, experiment, "metrics.acc != 0.9 AND metrics.acc = 0.1") == ["rises"]
    order = [{"field_name": "metrics.acc"}]
    assert found(wire, experiment, order_by=order) == ["falls", "rises"]


def test_a_search_can_be_tied_to_data_sets(wire: Any) -> None:
    experiment = wire.experiment()
    run = wire.run(experiment)
    for name, on_one, on_two in (("a", 0.9, 0.1), ("b", 0.2, 0.8)):
        model = made(wire, experiment, name)
        for dataset, value in (("one", on_one), ("two", on_two)):
            about = {"model_id": model, "dataset_name": dataset, "dataset_digest": f"{dataset}-1"}
            point(wire, run, "acc", value, **about)
    made(wire, experiment, "unmeasured")
    one = [{"dataset_name": "one"}]
    assert found(wire, experiment, "metrics.acc > 0.5", datasets=one) == ["a"]
    both = [*one, {"dataset_name": "two", "dataset_digest": "two-1"}]
    assert found(wire, experiment, "metrics.acc > 0.5", datasets=both) == ["b", "a"]
    other = [{"dataset_name": "one", "dataset_digest": "one-2"}]
    assert found(wire, experiment, "metrics.acc > 0", datasets=other) == []
    assert found(wire, experiment, datasets=one) == ["b", "a"]
    tied = {"field_name": "metrics.acc", "dataset_name": "two", "ascending": False}
    assert found(wire, experiment, order_by=[tied]) == ["b", "a", "unmeasured"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["", "one", "two"]),
            st.floats(-5, 5) | st.just(math.nan),
        ),
        max_size=12,
    ),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(-5, 5),
    st.sampled_from(["", "one", "two"]),
)
def test_searches_agree_with_looking_at_every_point(
    wire: Any, points: list[tuple[int, str, float]], operator: str, value: int, dataset: str
) -> None:
    experiment = wire.post("experiments/create", name=f"e{next(_counter)}")["experiment_id"]
    run = wire.run(experiment)
    models = [made(wire, experiment, f"model-{place}") for place in range(3)]
    for time, (which, on, number) in enumerate(points):
        about = {"dataset_name": on, "dataset_digest": "x"} if on else {}
        sent = "NaN" if math.isnan(number) else number
        point(wire, run, "m", sent, timestamp=time, model_id=models[which], **about)
    holds = {
        "<": lambda x: x < value,
        "<=": lambda x: x <= value,
        ">": lambda x: x > value,
        ">=": lambda x: x >= value,
    }[operator]
    wanted = {
        f"model-{which}"
        for which, on, number in points
        if (not dataset or on == dataset) and holds(number)
    }
    tied = [{"dataset_name": dataset}] if dataset else []
    assert set(found(wire, experiment, f"metrics.m {operator} {value}", datasets=tied)) == wanted


_counter = iter(range(10**9))


def test_pages_follow_each_other_and_the_last_has_no_token(wire: Any, refused: Any) -> None:
    experiment = wire.experiment()
    names = [f"m{place}" for place in range(5)]
    for name in names:
        made(wire, experiment, name)
    order = [{"field_name": "name"}]
    token, seen = "", []
    while True:
        page = wire.post(
            "logged-models/search",
            experiment_ids=[experiment],
            order_by=order,
            max_results=2,
            page_token=token,
        )
        seen += [model["info"]["name"] for model in page["models"]]
        if "next_page_token" not in page:
            break
        token = page["next_page_token"]
    assert seen == names
    with pytest.raises(refused, match="Invalid page token"):
        found(wire, experiment, page_token=token)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"filter": "status = 'DONE'"}, "status"),
        ({"filter": "status LIKE 'R%'"}, "status"),
        ({"filter": "nothing = 'a'"}, "nothing"),
        ({"order_by": [{"field_name": "params.a"}]}, "Only metrics are supported"),
        ({"order_by": [{"field_name": "nothing"}]}, "Invalid order by field name"),
        ({"datasets": [{"dataset_digest": "x"}]}, "dataset_name"),
        ({"max_results": 0}, "max_results"),
    ],
)
def test_a_search_that_makes_no_sense_says_why(
    wire: Any, refused: Any, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(refused, match=words) as raised:
        found(wire, "0", **fields)
    assert raised.value.status == 400


def test_a_search_must_say_where(wire: Any, refused: Any) -> None:
    with pytest.raises(refused, match="Missing value for required parameter 'experiment_ids'"):
        wire.post("logged-models/search")
    assert wire.post("logged-models/search", experiment_ids=[])["models"] == []


def test_a_deleted_model_is_gone_but_can_be_asked_for(wire: Any, refused: Any) -> None:
    experiment = wire.experiment()
    model = made(wire, experiment)
    for _ in range(2):
        wire.send("DELETE", f"logged-models/{model}", model_id=model)
    assert found(wire, experiment) == []
    with pytest.raises(refused, match=f"Logged model with ID '{model}' not found"):
        shown(wire, model)
    assert wire.get(f"logged-models/{model}", allow_deleted="true")["model"]["info"]["name"]
    with pytest.raises(refused):
        wire.send("PATCH", f"logged-models/{model}/tags", tags=[{"key": "a", "value": "1"}])


def test_whatever_happens_to_a_model_is_on_record(wire: Any, stores: Stores) -> None:
    model = made(wire, wire.experiment())
    wire.send("PATCH", f"logged-models/{model}", status="LOGGED_MODEL_READY")
    wire.send("DELETE", f"logged-models/{model}")
    (begun,) = stores.ledger.find(LoggedModelMade.KIND).entries
    changes = stores.ledger.find(LoggedModelChanged.KIND, where={"model": model}).entries
    assert model == f"m-{begun.id}"
    assert [entry.parents for entry in changes] == [(begun.id,)] * 2
    assert {entry.actor for entry in changes} == {"ada"}


def test_the_files_of_a_model_are_listed(wire: Any) -> None:
    experiment = wire.experiment()
    model = made(wire, experiment)
    place = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/models/{model}/artifacts/deep/a.txt"
    wire.call("PUT", place, body=b"text")
    listed = wire.get(f"logged-models/{model}/artifacts/directories")
    assert listed["files"] == [{"path": "deep", "is_dir": True}]
    assert listed["root_uri"].endswith(f"/models/{model}/artifacts")
    inside = wire.get(
        f"logged-models/{model}/artifacts/directories", artifact_directory_path="deep"
    )
    assert inside["files"] == [{"path": "deep/a.txt", "is_dir": False, "file_size": 4}]
