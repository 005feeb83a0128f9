"""Datasets: the data that a run says it was given."""

import mlflow
from judging import check, fresh, judge, same
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient

client = MlflowClient()


def dataset(name: str = "iris", digest: str = "d1", **more: str) -> Dataset:
    return Dataset(name, digest, "local", '{"uri": "x"}', **more)


def make() -> tuple[str, str]:
    experiment = client.create_experiment(fresh("datasets"))
    return experiment, client.create_run(experiment).info.run_id


def inputs_of(run: str) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (each.dataset.name, each.dataset.digest): {tag.key: tag.value for tag in each.tags}
        for each in client.get_run(run).inputs.dataset_inputs
    }


@check()
def an_input_is_kept_whole() -> None:
    _, run = make()
    sent = dataset(schema='{"a": 1}', profile='{"rows": 3}')
    client.log_inputs(
        run, [DatasetInput(sent, [InputTag("mlflow.data.context", "train"), InputTag("k", "v")])]
    )
    (kept,) = client.get_run(run).inputs.dataset_inputs
    same(dict(kept.dataset), dict(sent))
    same(inputs_of(run), {("iris", "d1"): {"mlflow.data.context": "train", "k": "v"}})


@check()
def the_same_input_twice_is_one_with_its_first_tags() -> None:
    _, run = make()
    client.log_inputs(run, [DatasetInput(dataset(), [InputTag("k", "first")])])
    client.log_inputs(run, [DatasetInput(dataset(), [InputTag("k", "second")])])
    client.log_inputs(
        run, [DatasetInput(dataset(digest="d2"), []), DatasetInput(dataset(digest="d2"), [])]
    )
    same(inputs_of(run), {("iris", "d1"): {"k": "first"}, ("iris", "d2"): {}})


@check()
def runs_share_a_dataset_and_have_their_own_tags() -> None:
    experiment, one = make()
    two = client.create_run(experiment).info.run_id
    client.log_inputs(one, [DatasetInput(dataset(), [InputTag("k", "1")])])
    client.log_inputs(two, [DatasetInput(dataset(), [InputTag("k", "2")])])
    same([inputs_of(run)["iris", "d1"] for run in (one, two)], [{"k": "1"}, {"k": "2"}])
    found = client.search_runs([experiment], "dataset.digest = 'd1'")
    same({run.info.run_id for run in found}, {one, two})
    same({len(run.inputs.dataset_inputs) for run in found}, {1})


@check()
def many_inputs_are_kept() -> None:
    _, run = make()
    client.log_inputs(run, [DatasetInput(dataset(f"n{n}"), []) for n in range(30)])
    same(len(inputs_of(run)), 30)


@check("pandas")
def a_frame_is_noted_with_its_schema() -> None:
    import pandas as pd

    mlflow.set_experiment(fresh("frames"))
    frame = pd.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"], "z": [0.5, 1.5, 2.5]})
    sent = mlflow.data.from_pandas(frame, source="data.csv", name="frame", targets="y")
    with mlflow.start_run() as run:
        mlflow.log_input(sent, context="training", tags={"k": "v"})
    (kept,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    same((kept.dataset.name, kept.dataset.digest), ("frame", sent.digest))
    same({tag.key: tag.value for tag in kept.tags}, {"mlflow.data.context": "training", "k": "v"})
    assert '"num_rows": 3' in kept.dataset.profile, kept.dataset.profile
    assert mlflow.data.get_source(kept.dataset).uri.endswith("data.csv")
    (found,) = mlflow.search_runs(
        filter_string="dataset.context = 'training'", output_format="list"
    )
    same(found.info.run_id, run.info.run_id)


@check("numpy", "pandas")
def an_array_is_noted() -> None:
    import numpy as np

    mlflow.set_experiment(fresh("arrays"))
    sent = mlflow.data.from_numpy(np.arange(12.0).reshape(4, 3), targets=np.arange(4))
    with mlflow.start_run() as run:
        mlflow.log_input(sent, context="eval")
    (kept,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    same((kept.dataset.name, kept.dataset.digest), (sent.name, sent.digest))


@check("pandas")
def a_large_schema_is_kept() -> None:
    import pandas as pd

    mlflow.set_experiment(fresh("wide"))
    frame = pd.DataFrame({f"a column with a long name {n}": [1.0] for n in range(1000)})
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame, name="wide"))
    (kept,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert "a column with a long name 999" in kept.dataset.schema


if __name__ == "__main__":
    judge()
