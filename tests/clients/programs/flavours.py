"""Models of the usual libraries are logged, loaded again, and answer as before."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from judging import check, fresh, generation, judge, same
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

FRAME, TARGET = load_iris(return_X_y=True, as_frame=True)


def log(flavour: object, model: object, name: str = "model", **more: object) -> object:
    """Log with what the generation calls the name."""
    keyword = "name" if generation() > 2 else "artifact_path"
    return flavour.log_model(model, **{keyword: name}, **more)


# Where they are not given, the client starts another Python to find them out, which takes seconds.
NEEDS = {"pip_requirements": ["scikit-learn"]}


def begin() -> None:
    mlflow.set_experiment(fresh("flavours"))


@check()
def sklearn_goes_there_and_back() -> None:
    begin()
    model = LogisticRegression(max_iter=500).fit(FRAME, TARGET)
    signature = infer_signature(FRAME, model.predict(FRAME))
    # The third generation writes scikit-learn's models by skops, the second by pickle.
    with mlflow.start_run() as run:
        info = log(mlflow.sklearn, model, signature=signature, input_example=FRAME.head(3))
    for place in (info.model_uri, f"runs:/{run.info.run_id}/model"):
        loaded = mlflow.sklearn.load_model(place)
        same(loaded.predict(FRAME).tolist(), model.predict(FRAME).tolist())
    generic = mlflow.pyfunc.load_model(info.model_uri)
    same(np.asarray(generic.predict(FRAME)).tolist(), model.predict(FRAME).tolist())
    same(generic.metadata.run_id, run.info.run_id)
    found = mlflow.models.get_model_info(info.model_uri)
    same(found.signature, signature)
    same(mlflow.pyfunc.load_model(info.model_uri).input_example.shape, (3, 4))


@check()
def xgboost_goes_there_and_back() -> None:
    import xgboost

    begin()
    model = xgboost.XGBClassifier(n_estimators=5).fit(FRAME, TARGET)
    booster = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(FRAME, TARGET), 3
    )
    with mlflow.start_run():
        one = log(mlflow.xgboost, model, "one", **NEEDS)
        two = log(mlflow.xgboost, booster, "two", **NEEDS)
    same(
        mlflow.xgboost.load_model(one.model_uri).predict(FRAME).tolist(),
        model.predict(FRAME).tolist(),
    )
    loaded = mlflow.xgboost.load_model(two.model_uri)
    wanted = booster.predict(xgboost.DMatrix(FRAME))
    assert np.allclose(loaded.predict(xgboost.DMatrix(FRAME)), wanted)
    assert np.allclose(mlflow.pyfunc.load_model(two.model_uri).predict(FRAME), wanted)


@check()
def lightgbm_goes_there_and_back() -> None:
    import lightgbm

    begin()
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(FRAME, TARGET)
    booster = lightgbm.train(
        {"objective": "multiclass", "num_class": 3, "verbose": -1},
        lightgbm.Dataset(FRAME, TARGET),
        3,
    )
    with mlflow.start_run():
        one = log(mlflow.lightgbm, model, "one", **NEEDS)
        two = log(mlflow.lightgbm, booster, "two", **NEEDS)
    same(
        mlflow.lightgbm.load_model(one.model_uri).predict(FRAME).tolist(),
        model.predict(FRAME).tolist(),
    )
    assert np.allclose(
        mlflow.lightgbm.load_model(two.model_uri).predict(FRAME), booster.predict(FRAME)
    )


class Adder(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.offset = float(Path(context.artifacts["offset"]).read_text())

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input + self.offset


@check()
def a_model_of_the_users_own_goes_there_and_back() -> None:
    begin()
    Path("offset.txt").write_text("5")
    keyword = "name" if generation() > 2 else "artifact_path"
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            **{keyword: "adder"},
            python_model=Adder(),
            artifacts={"offset": "offset.txt"},
            metadata={"k": "v"},
            **NEEDS,
        )
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    same(loaded.predict(pd.DataFrame({"x": [1.0, 2.0]}))["x"].tolist(), [6.0, 7.0])
    same(loaded.metadata.metadata, {"k": "v"})


@check()
def a_run_names_the_models_it_made() -> None:
    import json

    begin()
    model = LogisticRegression(max_iter=500).fit(FRAME, TARGET)
    with mlflow.start_run() as run:
        mlflow.log_metric("before", 1)
        log(mlflow.sklearn, model, "one", **NEEDS)
        log(mlflow.sklearn, model, "two", **NEEDS)
    found = mlflow.get_run(run.info.run_id)
    if generation() > 2:
        names = {
            mlflow.get_logged_model(each.model_id).name for each in found.outputs.model_outputs
        }
        metrics = [
            mlflow.get_logged_model(each.model_id).metrics for each in found.outputs.model_outputs
        ]
        same({metric.key for each in metrics for metric in each}, {"before"})
    else:
        noted = json.loads(found.data.tags["mlflow.log-model.history"])
        names = {each["artifact_path"] for each in noted}
    same(names, {"one", "two"})


@check(since=3)
def models_are_found_as_a_table() -> None:
    experiment = mlflow.set_experiment(fresh("table")).experiment_id
    model = LogisticRegression(max_iter=500).fit(FRAME, TARGET)
    with mlflow.start_run() as run:
        info = log(mlflow.sklearn, model, params={"c": 1}, **NEEDS)
        mlflow.log_metric("acc", 0.9, model_id=info.model_id)
    table = mlflow.search_logged_models([experiment], filter_string="metrics.acc > 0.5")
    same(
        (list(table["model_id"]), list(table["source_run_id"])),
        ([info.model_id], [run.info.run_id]),
    )
    same(mlflow.last_logged_model().model_id, info.model_id)


@check()
def a_model_is_judged_by_evaluate() -> None:
    begin()
    model = LogisticRegression(max_iter=500).fit(FRAME, TARGET)
    data = FRAME.assign(target=TARGET)
    with mlflow.start_run() as run:
        signature = infer_signature(FRAME, model.predict(FRAME))
        info = log(mlflow.sklearn, model, signature=signature, **NEEDS)
        evaluate = mlflow.models.evaluate if generation() > 2 else mlflow.evaluate
        result = evaluate(
            info.model_uri,
            data,
            targets="target",
            model_type="classifier",
            evaluators=["default"],
            evaluator_config={"default": {"log_explainer": False}},
        )
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert abs(metrics["accuracy_score"] - result.metrics["accuracy_score"]) < 1e-9
    assert any("confusion_matrix" in name for name in result.artifacts), list(result.artifacts)


if __name__ == "__main__":
    judge()
