"""Nested runs, as searches of parameters and cross-validation make them."""

import mlflow
from judging import check, fresh, judge, same
from mlflow.tracking import MlflowClient


@check()
def a_child_knows_its_parent() -> None:
    mlflow.set_experiment(fresh("nested"))
    with mlflow.start_run(run_name="parent") as parent:
        with mlflow.start_run(run_name="child", nested=True) as child:
            mlflow.log_metric("m", 1)
        mlflow.log_metric("m", 2)
    same(mlflow.get_parent_run(child.info.run_id).info.run_id, parent.info.run_id)
    same(mlflow.get_parent_run(parent.info.run_id), None)
    tags = MlflowClient().get_run(child.info.run_id).data.tags
    same(tags["mlflow.parentRunId"], parent.info.run_id)
    values = [mlflow.get_run(run.info.run_id).data.metrics["m"] for run in (parent, child)]
    same(values, [2.0, 1.0])


@check()
def children_are_found_by_their_parent() -> None:
    experiment = mlflow.set_experiment(fresh("children")).experiment_id
    with mlflow.start_run() as parent:
        for number in range(5):
            with mlflow.start_run(nested=True):
                mlflow.log_param("number", number)
                mlflow.log_metric("score", number)
        with mlflow.start_run(nested=True) as middle, mlflow.start_run(nested=True) as grandchild:
            mlflow.log_metric("score", 9)
    found = mlflow.search_runs(
        [experiment],
        f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
        order_by=["metrics.score DESC"],
        output_format="list",
    )
    same([run.data.metrics.get("score") for run in found], [4.0, 3.0, 2.0, 1.0, 0.0, None])
    below = f"tags.`mlflow.parentRunId` = '{middle.info.run_id}' AND metrics.score > 1"
    (only,) = mlflow.search_runs([experiment], below, output_format="list")
    same(only.info.run_id, grandchild.info.run_id)


@check()
def a_child_of_a_run_elsewhere_is_kept() -> None:
    client = MlflowClient()
    experiment = client.create_experiment(fresh("elsewhere"))
    parent = client.create_run(experiment)
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run(parent_run_id=parent.info.run_id, nested=True) as child:
        pass
    same(mlflow.get_parent_run(child.info.run_id).info.run_id, parent.info.run_id)


@check()
def a_failing_child_leaves_its_parent() -> None:
    mlflow.set_experiment(fresh("failing"))
    with mlflow.start_run() as parent:
        try:
            with mlflow.start_run(nested=True) as child:
                raise RuntimeError("on purpose")
        except RuntimeError:
            pass
    ends = [mlflow.get_run(run.info.run_id).info.status for run in (parent, child)]
    same(ends, ["FINISHED", "FAILED"])


@check()
def children_in_threads_are_kept_apart() -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = MlflowClient()
    experiment = client.create_experiment(fresh("threads"))
    parent = client.create_run(experiment).info.run_id

    def work(number: int) -> str:
        tags = {"mlflow.parentRunId": parent}
        run = client.create_run(experiment, tags=tags).info.run_id
        for step in range(5):
            client.log_metric(run, "m", number * 100 + step, step=step)
        client.set_terminated(run)
        return run

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(work, range(12)))
    same(len(set(runs)), 12)
    same(
        [client.get_run(run).data.metrics["m"] for run in runs], [n * 100 + 4.0 for n in range(12)]
    )


if __name__ == "__main__":
    judge()
