"""Models between steps: estimators, boosters and ONNX come back, and foreign types are refused."""

from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from trivet.core.errors import Corrupt, NotFound, Unsupported
from trivet.pipelines.materialising.readers import Reader
from trivet.pipelines.materialising.values import Form, Values
from trivet.workspace import wiring

X = np.random.default_rng(1).normal(size=(80, 3))
Y = (X[:, 0] > 0).astype(int)


def clipped(rows: Any) -> Any:
    return np.clip(rows, -1, 1)


class Doubler(TransformerMixin, BaseEstimator):
    def __init__(self, by: float = 2.0) -> None:
        self.by = by

    def fit(self, rows: Any, target: Any = None) -> "Doubler":
        self.seen_ = len(rows)
        return self

    def transform(self, rows: Any) -> Any:
        return rows * self.by


@pytest.fixture(scope="module")
def values() -> Values:
    return Values(wiring.step_materialisers())


MODELS = [
    LogisticRegression(),
    RandomForestClassifier(3, random_state=1),
    GradientBoostingClassifier(n_estimators=2, random_state=1),
    HistGradientBoostingClassifier(max_iter=3, random_state=1),
    KMeans(2, random_state=1, n_init=1),
    KNeighborsClassifier(),
    MLPClassifier((3,), max_iter=2, random_state=1),
    CalibratedClassifierCV(LogisticRegression()),
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_jobs=1),
    GaussianProcessRegressor(),
    lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1),
    make_pipeline(StandardScaler(), lightgbm.LGBMRegressor(n_estimators=3, verbose=-1, n_jobs=1)),
    make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=3, n_jobs=1)),
    make_pipeline(Doubler(3.0), FunctionTransformer(clipped), LogisticRegression()),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model)[:30])
def test_estimators_come_back_with_the_same_answers(model: Any, values: Values) -> None:
    model = model.fit(X, Y)
    form = values.save({"model": model}, "x")
    again: Any = values.load(form)
    assert type(again["model"]) is type(model)
    # What a flow hands on is always what was kept, so this is what the next step is known by.
    for other in (values.load(form), values.load(values.save(again, "x"))):
        assert values.digest(other, "x") == values.digest(again, "x")
    assert again["model"].predict(X).tobytes() == model.predict(X).tobytes()


@pytest.mark.parametrize("model", [RandomForestClassifier(20, random_state=1)], ids=["forest"])
def test_what_memory_held_between_the_nodes_of_trees_is_no_content(
    model: Any, values: Values
) -> None:
    form = values.save(model.fit(X, Y), "x")
    digests = set[str]()
    for filler in range(3):
        waste = [np.full(size, 0x0101 * filler, np.uint16) for size in range(1, 4000, 7)]
        del waste  # the next arrays are made in this memory
        digests.add(values.digest(values.load(form), "x"))
    assert len(digests) == 1


def test_an_estimator_that_was_not_fitted_comes_back(values: Values) -> None:
    again: Any = values.load(values.save(StandardScaler(with_mean=False), "x"))
    assert again.get_params() == {"copy": True, "with_mean": False, "with_std": True}


def test_a_type_that_nobody_trusts_is_named(values: Values) -> None:
    import statistics

    model = make_pipeline(FunctionTransformer(statistics.mean), LogisticRegression())
    with pytest.raises(Unsupported, match=r"statistics\.mean") as refused:
        values.save(model, "what step 'train' returned")
    assert "pickle=True" in refused.value.hint
    consenting = Reader(pickle=True)
    form = values.save(model, "x", consenting)
    assert form.format == "pickle"
    again: Any = values.load(form, consenting)
    assert again.steps[0][1].func is statistics.mean


def test_a_file_that_asks_for_a_foreign_type_is_not_built(values: Values) -> None:
    import statistics

    import skops.io

    crafted = skops.io.dumps(FunctionTransformer(statistics.mean))
    with pytest.raises(NotFound, match=r"statistics\.mean"):
        values.load(Form("estimator.skops", {"estimator.skops": crafted}))
    with pytest.raises(Corrupt):
        values.load(Form("estimator.skops", {"estimator.skops": b"no zip"}))


def test_a_booster_of_lightgbm_comes_back_with_all_its_trees(values: Values) -> None:
    data = lightgbm.Dataset(X, Y)
    valid = lightgbm.Dataset(X[:40], 1 - Y[:40], reference=data)
    stop = lightgbm.early_stopping(2, verbose=False)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, data, 10, valid_sets=[valid], callbacks=[stop])
    again: Any = values.load(values.save(booster, "x"))
    assert again.num_trees() == booster.num_trees()
    assert again.best_iteration == booster.best_iteration
    assert again.predict(X).tobytes() == booster.predict(X).tobytes()
    assert values.digest(again, "x") == values.digest(booster, "x")


def test_an_onnx_model_comes_back_byte_by_byte(values: Values) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [out]))
    again: Any = values.load(values.save(model, "x"))
    assert type(again) is onnx.ModelProto
    assert again == model
    with pytest.raises(Corrupt):
        values.load(Form("model.onnx", {"model.onnx": b"\xff\xff"}))
