"""System metrics, which a thread of the client sends beside the user's own."""

import time

import mlflow
from judging import check, fresh, judge, same
from mlflow.tracking import MlflowClient

client = MlflowClient()
PATIENCE_S = 60


def keys(run: str) -> set[str]:
    return {key for key in client.get_run(run).data.metrics if key.startswith("system/")}


def wait_for_points(run: str, count: int) -> None:
    """Let the run go on until the machine was measured so often, however busy it is."""
    limit = time.monotonic() + PATIENCE_S
    while len(client.get_metric_history(run, "system/cpu_utilization_percentage")) < count:
        assert time.monotonic() < limit, f"the machine was not measured {count} times"
        time.sleep(0.1)


@check()
def the_machine_is_measured_while_a_run_lasts() -> None:
    mlflow.set_experiment(fresh("system"))
    mlflow.set_system_metrics_sampling_interval(0.3)
    mlflow.set_system_metrics_samples_before_logging(2)
    with mlflow.start_run(log_system_metrics=True) as run:
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        wait_for_points(run.info.run_id, 2)
    wanted = {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"}
    assert wanted <= keys(run.info.run_id), keys(run.info.run_id)
    points = client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
    assert len(points) >= 2, points
    same([point.step for point in points], list(range(len(points))))
    same(len(client.get_metric_history(run.info.run_id, "loss")), 20)


@check()
def the_machine_is_not_measured_unasked() -> None:
    mlflow.set_experiment(fresh("quiet"))
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 1)
    same(keys(run.info.run_id), set())


@check()
def a_run_taken_up_again_is_measured_further() -> None:
    mlflow.set_experiment(fresh("further"))
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        wait_for_points(run.info.run_id, 1)
    first = len(client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage"))
    with mlflow.start_run(run_id=run.info.run_id, log_system_metrics=True):
        wait_for_points(run.info.run_id, first + 1)
    points = client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
    assert len(points) > first > 0, (first, len(points))
    same(len({point.step for point in points}), len(points))


if __name__ == "__main__":
    judge()
