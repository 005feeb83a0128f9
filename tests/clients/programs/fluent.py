"""The fluent API: what a training script calls, and what it finds afterwards."""

import os
import time

import mlflow
from judging import check, fresh, judge, refused, same
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient


def begin(word: str) -> str:
    """Switch to a new experiment, and return its id."""
    return mlflow.set_experiment(fresh(word)).experiment_id


@check()
def the_built_in_experiment_is_there() -> None:
    default = mlflow.get_experiment("0")
    same((default.name, default.lifecycle_stage), ("Default", "active"))
    same(mlflow.get_experiment_by_name("Default").experiment_id, "0")


@check()
def an_experiment_is_made_once_and_found_again() -> None:
    name = fresh("found")
    same(mlflow.get_experiment_by_name(name), None)
    first = mlflow.set_experiment(name)
    same(mlflow.set_experiment(name).experiment_id, first.experiment_id)
    same(mlflow.get_experiment_by_name(name).experiment_id, first.experiment_id)
    same(mlflow.set_experiment(experiment_id=first.experiment_id).name, name)
    assert int(first.experiment_id) > 0
    assert abs(first.creation_time - time.time() * 1000) < 600_000


@check()
def a_deleted_experiment_is_refused() -> None:
    name = fresh("deleted")
    mlflow.delete_experiment(mlflow.create_experiment(name))
    with refused("INVALID_PARAMETER_VALUE", "deleted"):
        mlflow.set_experiment(name)


@check()
def a_run_keeps_everything_that_was_logged() -> None:
    experiment = begin("all")
    with mlflow.start_run(run_name="first", description="what it is", tags={"team": "a"}) as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"depth": 3, "kind": "tree", "empty": ""})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metrics({"loss": 0.25, "f1": 0.9}, step=2)
        mlflow.set_tag("note", "ünïcode ✓")
        mlflow.set_tags({"a": 1, "b": True})
    found = mlflow.get_run(run.info.run_id)
    same(found.info.experiment_id, experiment)
    same((found.info.status, found.info.run_name), ("FINISHED", "first"))
    same(found.data.params, {"lr": "0.1", "depth": "3", "kind": "tree", "empty": ""})
    same(found.data.metrics, {"loss": 0.25, "f1": 0.9})
    tags = found.data.tags
    same((tags["team"], tags["note"], tags["a"], tags["b"]), ("a", "ünïcode ✓", "1", "True"))
    same((tags["mlflow.runName"], tags["mlflow.note.content"]), ("first", "what it is"))
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(tags)
    assert found.info.start_time <= found.info.end_time
    assert found.info.artifact_uri.endswith(f"/{run.info.run_id}/artifacts")


@check()
def an_unnamed_run_gets_a_name() -> None:
    begin("unnamed")
    with mlflow.start_run() as run:
        pass
    found = mlflow.get_run(run.info.run_id)
    assert found.info.run_name
    same(found.data.tags["mlflow.runName"], found.info.run_name)


@check()
def a_run_that_raises_has_failed() -> None:
    begin("failing")
    try:
        with mlflow.start_run() as run:
            mlflow.log_metric("before", 1)
            raise RuntimeError("on purpose")
    except RuntimeError:
        pass
    found = mlflow.get_run(run.info.run_id)
    same((found.info.status, found.data.metrics), ("FAILED", {"before": 1.0}))


@check()
def a_run_can_be_killed() -> None:
    begin("killed")
    run = mlflow.start_run()
    mlflow.end_run("KILLED")
    same(mlflow.get_run(run.info.run_id).info.status, "KILLED")


@check()
def a_finished_run_can_be_taken_up_again() -> None:
    begin("again")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1)
    with mlflow.start_run(run_id=run.info.run_id):
        same(mlflow.get_run(run.info.run_id).info.status, "RUNNING")
        mlflow.log_metric("m", 2, step=1)
        mlflow.log_param("late", "yes")
    found = mlflow.get_run(run.info.run_id)
    same(
        (found.info.status, found.data.metrics["m"], found.data.params["late"]),
        ("FINISHED", 2.0, "yes"),
    )


@check()
def a_deleted_run_cannot_be_taken_up_again() -> None:
    begin("gone")
    with mlflow.start_run() as run:
        pass
    mlflow.delete_run(run.info.run_id)
    with refused(
        "INTERNAL_ERROR", "deleted state"
    ):  # the client's own word, after asking for the run
        mlflow.start_run(run_id=run.info.run_id)


@check()
def a_run_of_the_environment_is_taken_up() -> None:
    begin("environment")
    with mlflow.start_run() as run:
        pass
    os.environ["MLFLOW_RUN_ID"] = run.info.run_id
    try:
        with mlflow.start_run() as again:
            mlflow.log_metric("from_environment", 1)
    finally:
        os.environ.pop("MLFLOW_RUN_ID", None)
    same(again.info.run_id, run.info.run_id)
    same(mlflow.get_run(run.info.run_id).data.metrics, {"from_environment": 1.0})


@check()
def logging_without_waiting_arrives() -> None:
    begin("asynchronous")
    with mlflow.start_run() as run:
        waiting = [
            mlflow.log_metric("loss", step / 10, step=step, synchronous=False) for step in range(50)
        ]
        waiting.append(mlflow.log_params({"a": 1}, synchronous=False))
        waiting.append(mlflow.set_tags({"t": "1"}, synchronous=False))
        for each in waiting:
            each.wait()
    found = mlflow.get_run(run.info.run_id)
    same(
        (found.data.metrics, found.data.params["a"], found.data.tags["t"]),
        ({"loss": 4.9}, "1", "1"),
    )
    same(len(MlflowClient().get_metric_history(run.info.run_id, "loss")), 50)


@check()
def a_mixed_batch_is_kept() -> None:
    begin("batch")
    with mlflow.start_run() as run:
        MlflowClient().log_batch(
            run.info.run_id,
            metrics=[Metric("m", step * 0.5, 1000 + step, step) for step in range(1000)],
            params=[Param(f"p{number}", str(number)) for number in range(100)],
            tags=[RunTag(f"t{number}", str(number)) for number in range(100)],
        )
    found = mlflow.get_run(run.info.run_id)
    same((found.data.metrics["m"], len(found.data.params)), (499.5, 100))
    same(
        {key for key in found.data.tags if not key.startswith("mlflow.")},
        {f"t{n}" for n in range(100)},
    )


@check()
def many_params_at_once_are_split_by_the_client() -> None:
    begin("params")
    with mlflow.start_run() as run:
        mlflow.log_params({f"p{number}": number for number in range(250)})
        mlflow.log_metrics({f"m{number}": number for number in range(250)})
    found = mlflow.get_run(run.info.run_id)
    same((len(found.data.params), len(found.data.metrics)), (250, 250))


@check()
def tags_of_an_experiment_are_kept() -> None:
    experiment = begin("tagged")
    mlflow.set_experiment_tag("one", "1")
    mlflow.set_experiment_tags({"two": "2", "one": "changed"})
    tags = mlflow.get_experiment(experiment).tags
    same({key: tags[key] for key in ("one", "two")}, {"one": "changed", "two": "2"})


@check()
def runs_are_found_as_a_list() -> None:
    experiment = begin("list")
    ids = []
    for number in range(3):
        with mlflow.start_run() as run:
            mlflow.log_metric("m", number)
        ids.append(run.info.run_id)
    found = mlflow.search_runs(
        [experiment], "metrics.m > 0", order_by=["metrics.m"], output_format="list"
    )
    same([run.info.run_id for run in found], ids[1:])


@check("pandas")
def runs_are_found_as_a_table() -> None:
    name = fresh("table")
    mlflow.set_experiment(name)
    for number in range(3):
        with mlflow.start_run():
            mlflow.log_metric("m", number)
            mlflow.log_param("only", number) if number else None
    table = mlflow.search_runs(experiment_names=[name], order_by=["metrics.m DESC"])
    same(list(table["metrics.m"]), [2.0, 1.0, 0.0])
    same(list(table["params.only"])[:2], ["2", "1"])
    assert table["params.only"].isna().iloc[2]
    same(set(table["status"]), {"FINISHED"})


@check()
def the_last_run_is_known() -> None:
    begin("last")
    with mlflow.start_run() as run:
        pass
    same(mlflow.last_active_run().info.run_id, run.info.run_id)


@check()
def experiments_are_found() -> None:
    word = fresh("batch of experiments")
    ids = [mlflow.create_experiment(f"{word} {number}") for number in range(3)]
    found = mlflow.search_experiments(filter_string=f"name LIKE '{word}%'", order_by=["name DESC"])
    same([each.experiment_id for each in found], ids[::-1])


@check()
def a_missing_run_is_said_to_be_missing() -> None:
    with refused("RESOURCE_DOES_NOT_EXIST", "a" * 32):
        mlflow.get_run("a" * 32)


if __name__ == "__main__":
    judge()
