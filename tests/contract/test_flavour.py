import lightgbm
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from trivet.adapters.lightgbm.flavour import LightGBMFlavour
from trivet.adapters.onnx.flavour import OnnxFlavour
from trivet.adapters.sklearn.flavour import SklearnFlavour
from trivet.core.errors import Invalid, Unsupported
from trivet.testing.contracts.flavour import FlavourCase, FlavourContract

Rows = NDArray[np.float32]


def mixed_rows(count: int = 2000, seed: int = 0) -> tuple[Rows, NDArray[np.float64]]:
    """Two decimals, whole numbers, a category of six and gaps; and a score they carry."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 4)).round(1)
    category = random.integers(0, 6, count)
    score = rows[:, 0] + 0.5 * rows[:, 1] + (category % 2)
    rows = np.column_stack([rows, category]).astype(np.float32)
    rows[random.random(rows.shape) < 0.05] = np.nan
    return rows, score


def boost(objective: str, labels: NDArray[np.float64], rows: Rows, **more: object) -> object:
    parameters = {"objective": objective, "num_leaves": 31, "num_threads": 1, "verbose": -1, **more}
    data = lightgbm.Dataset(rows, labels, categorical_feature=[4])
    return lightgbm.train(parameters, data, 40)


def late(score: NDArray[np.float64]) -> NDArray[np.float64]:
    noise = np.random.default_rng(1).normal(size=score.size)
    return (score + noise > 0.5).astype(np.float64)


def lightgbm_cases() -> tuple[FlavourCase, ...]:
    rows, score = mixed_rows()
    three = np.digitize(score, [0.0, 1.0]).astype(np.float64)
    classifier = lightgbm.LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1)
    classifier.fit(rows, np.where(late(score) == 1, "yes", "no"))
    return (
        FlavourCase("binary", boost("binary", late(score), rows), "binary", rows),
        FlavourCase(
            "multiclass", boost("multiclass", three, rows, num_class=3), "multiclass", rows, 3
        ),
        FlavourCase("regression", boost("regression", 100 + score, rows), "regression", rows),
        FlavourCase("poisson", boost("poisson", np.exp(score / 2), rows), "regression", rows),
        FlavourCase("classifier of words", classifier, "binary", rows),
    )


class TestLightGBM(FlavourContract):
    flavour = LightGBMFlavour()
    make_cases = staticmethod(lightgbm_cases)
    libraries = ("lightgbm", "onnx", "onnxmltools", "numpy", "sklearn")

    @pytest.mark.parametrize(
        ("objective", "more"),
        [
            ("binary", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}),
            ("binary", {"sigmoid": 2.0}),
            ("binary", {"zero_as_missing": True}),
            ("regression", {"linear_tree": True}),
            ("regression", {"reg_sqrt": True}),
            ("cross_entropy", {}),
        ],
    )
    def test_what_the_converter_would_get_wrong_is_refused(
        self, objective: str, more: dict[str, object]
    ) -> None:
        rows, score = mixed_rows()
        labels = score if objective == "regression" else late(score)
        task = "regression" if objective == "regression" else "binary"
        model = boost(objective, labels, rows, **more)
        with pytest.raises(Unsupported) as caught:
            self.flavour.convert(model, features=5, task=task)
        assert caught.value.hint

    def test_a_row_exactly_on_a_split_point_takes_the_same_branch(self) -> None:
        # One decimal: half of these rows lie on thresholds that the converter would round upwards.
        random = np.random.default_rng(3)
        rows = random.integers(0, 100, (4000, 3)).astype(np.float32) / np.float32(10)
        rows = np.column_stack([rows, rows[:, :2]]).astype(np.float32)
        labels = (rows.sum(axis=1) + random.normal(size=4000) > 25).astype(np.float64)
        parameters = {"objective": "binary", "num_leaves": 63, "num_threads": 1, "verbose": -1}
        model = lightgbm.train(parameters, lightgbm.Dataset(rows, labels), 60)
        onto = np.repeat(rows, 2, axis=0)
        onto[1::2] = np.nextafter(onto[1::2], np.float32(np.inf))
        case = FlavourCase("edges", model, "binary", onto)
        self.test_the_serving_form_answers_as_the_original((case,))

    def test_a_model_that_was_not_fitted_is_refused(self) -> None:
        with pytest.raises(Invalid, match="not fitted"):
            self.flavour.convert(lightgbm.LGBMClassifier(), features=5, task="binary")


def sklearn_cases() -> tuple[FlavourCase, ...]:
    cancer, sick = load_breast_cancer(return_X_y=True)
    diabetes, progress = load_diabetes(return_X_y=True)
    iris, kind = load_iris(return_X_y=True)
    cancer, diabetes, iris = (x.astype(np.float32) for x in (cancer, diabetes, iris))
    holes = cancer.copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.1] = np.nan
    coded = np.column_stack([cancer[:, :2], np.arange(len(cancer)) % 5]).astype(np.float32)
    columns = ColumnTransformer(
        [("scaled", StandardScaler(), [0, 1]), ("coded", OneHotEncoder(), [2])]
    )
    logistic = LogisticRegression(max_iter=500)
    models = (
        ("logistic", make_pipeline(StandardScaler(), logistic), cancer, sick, "binary"),
        (
            "imputed",
            make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=500)),
            holes,
            sick,
            "binary",
        ),
        ("columns", make_pipeline(columns, LogisticRegression()), coded, sick, "binary"),
        ("forest", RandomForestClassifier(20, random_state=0), cancer, sick, "binary"),
        ("linear", LinearRegression(), diabetes, progress, "regression"),
        ("ridge", make_pipeline(StandardScaler(), Ridge()), diabetes, progress, "regression"),
        ("trees", RandomForestRegressor(20, random_state=0), diabetes, progress, "regression"),
        ("boosted", GradientBoostingRegressor(n_estimators=20), diabetes, progress, "regression"),
        (
            "three kinds",
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            iris,
            kind,
            "multiclass",
        ),
    )
    return tuple(
        FlavourCase(name, model.fit(rows, goal), task, rows, 3 if task == "multiclass" else 1)
        for name, model, rows, goal, task in models
    )


class TestSklearn(FlavourContract):
    flavour = SklearnFlavour()
    make_cases = staticmethod(sklearn_cases)
    libraries = ("sklearn", "skops", "skl2onnx", "onnx", "numpy")

    def test_histogram_boosting_is_sent_to_lightgbm(self) -> None:
        rows, goal = load_breast_cancer(return_X_y=True)
        model = HistGradientBoostingClassifier(max_iter=5).fit(rows, goal)
        with pytest.raises(Unsupported) as caught:
            self.flavour.convert(model, features=30, task="binary")
        assert "LightGBM" in caught.value.hint

    def test_a_classifier_without_probabilities_is_refused(self) -> None:
        rows, goal = load_breast_cancer(return_X_y=True)
        model = make_pipeline(StandardScaler(), Perceptron()).fit(rows, goal)
        with pytest.raises(Unsupported, match="no probabilities"):
            self.flavour.convert(model, features=30, task="binary")

    def test_a_function_of_ones_own_does_not_get_into_a_package(self) -> None:
        rows, goal = load_breast_cancer(return_X_y=True)
        model = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=5000))
        with pytest.raises(Unsupported):
            self.flavour.convert(model.fit(rows, goal), features=30, task="binary")

    def test_a_model_of_lightgbm_is_not_taken_for_its_own(self) -> None:
        assert not self.flavour.accepts(lightgbm.LGBMClassifier())

    def test_a_model_that_was_not_fitted_is_refused(self) -> None:
        with pytest.raises(Invalid, match="not fitted"):
            self.flavour.convert(LogisticRegression(), features=5, task="binary")


def onnx_cases() -> tuple[FlavourCase, ...]:
    cases: list[FlavourCase] = []
    for case in sklearn_cases():
        if case.name in {"logistic", "linear", "three kinds"}:
            options = {id(case.model): {"zipmap": False}} if case.task != "regression" else None
            exported = to_onnx(case.model, case.rows[:1], name=case.name, options=options)
            cases.append(FlavourCase(case.name, exported, case.task, case.rows, case.outputs))
    return tuple(cases)


class TestOnnx(FlavourContract):
    flavour = OnnxFlavour()
    make_cases = staticmethod(onnx_cases)
    libraries = ("onnx", "onnxruntime", "numpy")

    def test_an_export_with_dictionaries_is_refused_with_the_way_out(self) -> None:
        rows, goal = load_iris(return_X_y=True)
        model = LogisticRegression(max_iter=500).fit(rows, goal)
        exported = to_onnx(model, rows[:1].astype(np.float32))
        with pytest.raises(Unsupported) as caught:
            self.flavour.convert(exported, features=4, task="multiclass")
        assert "zipmap" in caught.value.hint

    def test_a_broken_graph_is_refused(self) -> None:
        with pytest.raises(Invalid):
            self.flavour.convert(onnx.ModelProto(), features=4, task="binary")
