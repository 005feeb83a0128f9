"""Autologging: one line, and everything about the fit is there."""

import mlflow
import numpy as np
from judging import check, fresh, generation, judge, same
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris

FRAME, TARGET = load_iris(return_X_y=True, as_frame=True)
client = MlflowClient()


def runs_of(experiment: str) -> list[object]:
    return client.search_runs([experiment], order_by=["start_time"])


def models_of(run: object) -> list[str]:
    """The names of the models that a run made, by the way of its generation."""
    import json

    if generation() > 2:
        return [mlflow.get_logged_model(each.model_id).name for each in run.outputs.model_outputs]
    return [each["artifact_path"] for each in json.loads(run.data.tags["mlflow.log-model.history"])]


@check()
def everything_is_logged_into_a_run_of_the_users_own() -> None:
    from sklearn.linear_model import LinearRegression

    mlflow.set_experiment(fresh("own"))
    mlflow.autolog(log_models=False, silent=True)
    try:
        with mlflow.start_run(run_name="mine") as run:
            LinearRegression().fit(np.arange(20.0).reshape(10, 2), np.arange(10.0))
            mlflow.log_metric("mine", 1)
    finally:
        mlflow.autolog(disable=True, silent=True)
    found = client.get_run(run.info.run_id)
    same((found.info.run_name, found.data.metrics["mine"]), ("mine", 1.0))
    assert "training_r2_score" in found.data.metrics, found.data.metrics
    assert "fit_intercept" in found.data.params, found.data.params


@check()
def sklearn_is_logged() -> None:
    from sklearn.ensemble import RandomForestClassifier

    experiment = mlflow.set_experiment(fresh("sklearn")).experiment_id
    mlflow.sklearn.autolog()
    try:
        model = RandomForestClassifier(n_estimators=7, max_depth=2, random_state=0).fit(
            FRAME, TARGET
        )
        model.score(FRAME, TARGET)
    finally:
        mlflow.sklearn.autolog(disable=True)
    (run,) = runs_of(experiment)
    same(
        (run.info.status, run.data.params["n_estimators"], run.data.params["max_depth"]),
        ("FINISHED", "7", "2"),
    )
    assert {"training_accuracy_score", "training_f1_score", "training_log_loss"} <= set(
        run.data.metrics
    )
    same(run.data.tags["estimator_name"], "RandomForestClassifier")
    same(len(models_of(run)), 1)
    assert run.inputs.dataset_inputs, "no dataset"
    names = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert "training_confusion_matrix.png" in names, names
    if generation() > 2:
        loaded = mlflow.sklearn.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
        same(loaded.predict(FRAME).tolist(), model.predict(FRAME).tolist())


@check()
def a_search_of_parameters_makes_children() -> None:
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    experiment = mlflow.set_experiment(fresh("grid")).experiment_id
    mlflow.sklearn.autolog(log_models=False)
    try:
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2, 3]}, cv=2).fit(FRAME, TARGET)
    finally:
        mlflow.sklearn.autolog(disable=True)
    runs = runs_of(experiment)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    same((len(parents), len(children)), (1, 3))
    same({run.data.tags["mlflow.parentRunId"] for run in children}, {parents[0].info.run_id})
    assert "best_cv_score" in parents[0].data.metrics, parents[0].data.metrics
    same({run.data.params["max_depth"] for run in children}, {"1", "2", "3"})


@check()
def xgboost_is_logged() -> None:
    import xgboost

    experiment = mlflow.set_experiment(fresh("xgboost")).experiment_id
    mlflow.xgboost.autolog()
    try:
        data = xgboost.DMatrix(FRAME, TARGET)
        asked = {"objective": "multi:softprob", "num_class": 3, "max_depth": 2}
        xgboost.train(asked, data, num_boost_round=4, evals=[(data, "train")], verbose_eval=False)
    finally:
        mlflow.xgboost.autolog(disable=True)
    (run,) = runs_of(experiment)
    same((run.info.status, run.data.params["max_depth"]), ("FINISHED", "2"))
    points = client.get_metric_history(run.info.run_id, "train-mlogloss")
    assert len(points) >= 4, points
    same([point.step for point in points][:4], [0, 1, 2, 3])
    same(len(models_of(run)), 1)
    assert any("feature_importance" in each.path for each in client.list_artifacts(run.info.run_id))


@check()
def lightgbm_is_logged() -> None:
    import lightgbm

    experiment = mlflow.set_experiment(fresh("lightgbm")).experiment_id
    mlflow.lightgbm.autolog()
    try:
        data = lightgbm.Dataset(FRAME, TARGET)
        asked = {"objective": "multiclass", "num_class": 3, "num_leaves": 4, "verbose": -1}
        lightgbm.train(asked, data, num_boost_round=4, valid_sets=[data], valid_names=["train"])
    finally:
        mlflow.lightgbm.autolog(disable=True)
    (run,) = runs_of(experiment)
    same((run.info.status, run.data.params["num_leaves"]), ("FINISHED", "4"))
    assert any("multi_logloss" in key for key in run.data.metrics), run.data.metrics
    same(len(models_of(run)), 1)


if __name__ == "__main__":
    judge()
