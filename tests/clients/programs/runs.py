"""Runs by the low-level client: params, tags, names, ends, deletion, and what is refused."""

import time

from judging import check, fresh, judge, refused, same
from mlflow.entities import Param, RunStatus, RunTag
from mlflow.tracking import MlflowClient

client = MlflowClient()
MISSING = "0" * 32
INVALID = "INVALID_PARAMETER_VALUE"


def make(**options: object) -> str:
    return client.create_run(client.create_experiment(fresh("runs")), **options).info.run_id


def own_tags(run: str) -> dict[str, str]:
    tags = client.get_run(run).data.tags
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


@check()
def a_run_begins_as_it_was_asked_to() -> None:
    experiment = client.create_experiment(fresh("begin"))
    run = client.create_run(experiment, start_time=123, tags={"a": "1", "b": ""}, run_name="n")
    same((run.info.status, run.info.start_time, run.info.end_time), ("RUNNING", 123, None))
    same((run.info.experiment_id, run.info.lifecycle_stage), (experiment, "active"))
    same(run.data.tags, {"a": "1", "b": "", "mlflow.runName": "n"})
    same((run.data.params, run.data.metrics), ({}, {}))
    same((len(run.info.run_id), set(run.info.run_id) <= set("0123456789abcdef")), (32, True))
    found = client.get_run(run.info.run_id)
    same((found.info, found.data.tags), (run.info, run.data.tags))
    experiment_place = client.get_experiment(experiment).artifact_location
    same(run.info.artifact_uri, f"{experiment_place}/{run.info.run_id}/artifacts")


@check()
def a_param_is_written_once() -> None:
    run = make()
    client.log_param(run, "p", "1")
    client.log_param(run, "p", "1")
    with refused(INVALID, "Changing param values is not allowed", "'p'", "'1'", "'2'"):
        client.log_param(run, "p", "2")
    with refused(INVALID, "Changing param values is not allowed"):
        client.log_batch(run, params=[Param("new", "1"), Param("p", "3")])
    client.log_batch(run, params=[Param("p", "1"), Param("q", "2")])
    found = client.get_run(run).data.params
    same((found["p"], found["q"]), ("1", "2"))


@check()
def a_param_twice_in_a_batch_is_refused() -> None:
    run = make()
    with refused(INVALID):
        client.log_batch(run, params=[Param("p", "1"), Param("p", "2")])
    with refused(INVALID, "Duplicate parameter keys"):
        client.log_batch(run, params=[Param("p", "1"), Param("p", "1")])
    same(client.get_run(run).data.params, {})


@check()
def values_of_params_are_text() -> None:
    run = make()
    values = {"int": 1, "float": 0.1, "none": None, "list": [1, 2], "empty": "", "lines": "a\nb\t✓"}
    for key, value in values.items():
        client.log_param(run, key, value)
    same(client.get_run(run).data.params, {key: str(value) for key, value in values.items()})


@check()
def long_values_of_params_are_kept_up_to_the_limit() -> None:
    run = make()
    client.log_param(run, "p", "x" * 6000)
    client.log_param(run, "cut", "x" * 6001)
    params = client.get_run(run).data.params
    same((len(params["p"]), len(params["cut"])), (6000, 6000))


@check()
def tags_can_be_changed_and_deleted() -> None:
    run = make()
    client.set_tag(run, "a", "1")
    client.set_tag(run, "a", "2")
    client.set_tag(run, "empty", "")
    client.set_tag(run, "number", 3)
    same(own_tags(run), {"a": "2", "empty": "", "number": "3"})
    client.delete_tag(run, "a")
    same(own_tags(run), {"empty": "", "number": "3"})
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with name: a"):
        client.delete_tag(run, "a")


@check()
def the_last_tag_of_a_batch_wins() -> None:
    run = make()
    client.log_batch(run, tags=[RunTag("a", "1"), RunTag("b", "1"), RunTag("a", "2")])
    same(own_tags(run), {"a": "2", "b": "1"})


@check()
def long_tags_are_kept_up_to_the_limit() -> None:
    run = make()
    client.set_tag(run, "a", "x" * 8000)
    client.set_tag(run, "cut", "x" * 8001)
    tags = own_tags(run)
    same((len(tags["a"]), len(tags["cut"])), (8000, 8000))


@check()
def name_and_tag_stay_in_step() -> None:
    run = make(run_name="one")
    same(client.get_run(run).data.tags["mlflow.runName"], "one")
    client.set_tag(run, "mlflow.runName", "two")
    same(client.get_run(run).info.run_name, "two")
    client.update_run(run, name="three")
    found = client.get_run(run)
    same((found.info.run_name, found.data.tags["mlflow.runName"]), ("three", "three"))
    client.log_batch(run, tags=[RunTag("mlflow.runName", "four")])
    same(client.get_run(run).info.run_name, "four")
    same(client.get_run(make(tags={"mlflow.runName": "by tag"})).info.run_name, "by tag")


@check()
def two_names_at_once_are_refused() -> None:
    experiment = client.create_experiment(fresh("names"))
    with refused(INVALID, "run_name"):
        client.create_run(experiment, run_name="one", tags={"mlflow.runName": "two"})
    run = client.create_run(experiment, run_name="one", tags={"mlflow.runName": "one"})
    same(run.info.run_name, "one")


@check()
def a_change_of_the_name_leaves_the_status() -> None:
    run = make(run_name="one")
    client.update_run(run, status="FAILED")
    client.update_run(run, name="two")
    found = client.get_run(run).info
    same((found.status, found.run_name), ("FAILED", "two"))
    client.update_run(run, status="SCHEDULED")
    found = client.get_run(run).info
    same((found.status, found.run_name), ("SCHEDULED", "two"))


@check()
def a_run_ends_as_it_was_told() -> None:
    for status in ("FINISHED", "FAILED", "KILLED"):
        run = make()
        client.set_terminated(run, status=status, end_time=456)
        found = client.get_run(run).info
        same((found.status, found.end_time), (status, 456))
        assert RunStatus.is_terminated(RunStatus.from_string(found.status))
    run = make()
    before = int(time.time() * 1000)
    client.set_terminated(run)
    assert before <= client.get_run(run).info.end_time <= before + 600_000


@check()
def an_ended_run_still_takes_writes() -> None:
    run = make()
    client.set_terminated(run)
    client.log_param(run, "p", "1")
    client.log_metric(run, "m", 1)
    client.set_tag(run, "t", "1")
    found = client.get_run(run)
    same(
        (found.data.params, found.data.metrics, own_tags(run)), ({"p": "1"}, {"m": 1.0}, {"t": "1"})
    )
    same(found.info.status, "FINISHED")


@check()
def a_deleted_run_takes_no_writes() -> None:
    run = make()
    client.set_tag(run, "t", "1")
    client.delete_run(run)
    client.delete_run(run)
    found = client.get_run(run)
    same((found.info.lifecycle_stage, own_tags(run)), ("deleted", {"t": "1"}))
    writes = (
        lambda: client.log_param(run, "p", "1"),
        lambda: client.log_metric(run, "m", 1),
        lambda: client.set_tag(run, "t", "2"),
        lambda: client.delete_tag(run, "t"),
        lambda: client.log_batch(run, tags=[RunTag("a", "1")]),
        lambda: client.update_run(run, status="FAILED"),
        lambda: client.set_terminated(run),
    )
    for write in writes:
        with refused(INVALID, run, "must be in the 'active' state"):
            write()
    client.restore_run(run)
    client.restore_run(run)
    client.log_param(run, "p", "1")
    found = client.get_run(run)
    same(
        (found.info.lifecycle_stage, found.data.params, own_tags(run)),
        ("active", {"p": "1"}, {"t": "1"}),
    )


@check()
def a_missing_run_is_named() -> None:
    calls = (
        lambda: client.get_run(MISSING),
        lambda: client.log_param(MISSING, "p", "1"),
        lambda: client.log_metric(MISSING, "m", 1),
        lambda: client.set_tag(MISSING, "t", "1"),
        lambda: client.delete_tag(MISSING, "t"),
        lambda: client.delete_run(MISSING),
        lambda: client.restore_run(MISSING),
        lambda: client.update_run(MISSING, status="FAILED"),
        lambda: client.log_batch(MISSING, params=[Param("a", "1")]),
    )
    for call in calls:
        with refused("RESOURCE_DOES_NOT_EXIST", "Run with id=", MISSING, "not found"):
            call()


@check()
def keys_have_rules() -> None:
    run = make()
    good = ("a.b", "a-b", "a_b", "a/b", "a b", "a:b", "0", "é1", "k" * 250, "a/.b", "日本")
    for number, key in enumerate(good):
        client.log_param(run, key, number)
        client.set_tag(run, key, number)
        client.log_metric(run, key, number)
    found = client.get_run(run)
    same(found.data.params, {key: str(number) for number, key in enumerate(good)})
    same(found.data.metrics, {key: float(number) for number, key in enumerate(good)})
    same(own_tags(run), {key: str(number) for number, key in enumerate(good)})
    for key in (
        "",
        ".",
        "..",
        "../a",
        "/a",
        "a//b",
        "a/../b",
        "a/./b",
        "a/",
        "a#b",
        "a\nb",
        "a%b",
        "k" * 251,
    ):
        with refused(INVALID):
            client.log_param(run, key, "1")
        with refused(INVALID):
            client.set_tag(run, key, "1")
        with refused(INVALID):
            client.log_metric(run, key, 1)
    same(len(client.get_run(run).data.params), len(good))


@check()
def a_refused_batch_leaves_nothing() -> None:
    from mlflow.entities import Metric

    run = make()
    with refused(INVALID):
        client.log_batch(
            run,
            metrics=[Metric("m", 1, 1, 0), Metric("bad//key", 1, 1, 0)],
            params=[Param("p", "1")],
            tags=[RunTag("t", "1")],
        )
    found = client.get_run(run)
    same((found.data.metrics, found.data.params, own_tags(run)), ({}, {}, {}))


@check()
def large_batches_are_split_by_the_client() -> None:
    from mlflow.entities import Metric

    run = make()
    client.log_batch(
        run,
        metrics=[Metric(f"m{n}", n, n, n) for n in range(1500)],
        params=[Param(f"p{n}", str(n)) for n in range(150)],
        tags=[RunTag(f"t{n}", str(n)) for n in range(150)],
    )
    client.log_batch(run)
    found = client.get_run(run)
    same((len(found.data.metrics), len(found.data.params), len(own_tags(run))), (1500, 150, 150))


@check()
def a_model_of_the_second_generation_is_noted_in_a_tag() -> None:
    import json

    from mlflow.models import Model

    run = make()
    for path in ("one", "two"):
        client._record_logged_model(run, Model(artifact_path=path, run_id=run, flavors={"f": {}}))
    noted = json.loads(client.get_run(run).data.tags["mlflow.log-model.history"])
    same([each["artifact_path"] for each in noted], ["one", "two"])


if __name__ == "__main__":
    judge()
