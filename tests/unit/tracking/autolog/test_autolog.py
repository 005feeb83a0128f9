"""Fits of real libraries that report by themselves, and never in the program's way."""

import logging
import os
import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import joblib
import pytest
import sklearn.model_selection
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from trivet.core.errors import Invalid, Unavailable
from trivet.tracking.autolog.session import Autolog
from trivet.tracking.reporting.facts import ReportedRun
from trivet.tracking.service import TrackingService

Told = Callable[[], list[ReportedRun]]
Rows = tuple[Any, Any]


def test_a_fit_is_a_run(autolog: Autolog, told: Told, rows: Rows) -> None:
    LogisticRegression(C=0.5).fit(*rows)
    Ridge().fit(rows[0], rows[0][:, 0])
    first, second = told()
    assert (first.name, first.status, first.parameters["C"]) == (
        "LogisticRegression",
        "succeeded",
        "0.5",
    )
    assert first.tags["estimator_class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert set(first.metrics) == {
        f"training/{name}" for name in ("accuracy", "precision", "recall", "f1", "log_loss")
    } | {"training/roc_auc"}
    assert second.metrics["training/r2"].value > 0.9


def test_a_fit_within_a_run_belongs_to_it(
    autolog: Autolog, tracking: TrackingService, told: Told, rows: Rows
) -> None:
    with tracking.begin(parameters={"C": 7}, system=False) as run:
        LogisticRegression().fit(*rows)
        LogisticRegression(C=3).fit(*rows)
    found = tracking.reported.get(run.id)
    assert told() == []
    assert found.parameters["C"] == "7"  # the program's own word stands
    assert found.parameters["LogisticRegression/C"] == "1.0"
    assert found.parameters["fit2/C"] == "3"
    assert {"training/accuracy", "fit2/training/accuracy"} <= set(found.metrics)


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_what_is_fitted_within_a_fit_is_told_by_it(
    autolog: Autolog, told: Told, rows: Rows, backend: str
) -> None:
    with joblib.parallel_config(backend=backend, n_jobs=2):
        BaggingClassifier(LogisticRegression(), n_estimators=4, n_jobs=2).fit(*rows)
        members = [("a", LogisticRegression()), ("b", DecisionTreeClassifier())]
        VotingClassifier(members, n_jobs=2).fit(*rows)
    make_pipeline(StandardScaler(), LogisticRegression()).fit(*rows)
    assert [run.name for run in told()] == ["BaggingClassifier", "VotingClassifier", "Pipeline"]


def test_a_search_tells_its_trials(
    autolog: Autolog, tracking: TrackingService, told: Told, rows: Rows
) -> None:
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=3).fit(*rows)
    (run,) = told()
    curve = tracking.metric(run.id, "cv/mean_test_score")
    assert list(curve.steps) == [0, 1, 2]
    assert run.metrics["best_cv_score"].value == max(curve.values)
    assert run.parameters["best_C"] in {"0.1", "1.0", "10.0"}
    assert [each.key for each in tracking.media(run.id)] == ["cv_results"]


def test_a_cross_validation_is_one_run(
    autolog: Autolog, tracking: TrackingService, told: Told, rows: Rows
) -> None:
    scores = cross_val_score(LogisticRegression(C=2), *rows, cv=4)
    (run,) = told()
    assert list(tracking.metric(run.id, "cv/test_score").values) == pytest.approx(list(scores))
    assert run.metrics["cv/mean_test_score"].value == pytest.approx(scores.mean())
    assert run.parameters["C"] == "2"


def test_a_parameter_may_be_a_type(autolog: Autolog, told: Told, rows: Rows) -> None:
    make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(*rows)
    (run,) = told()
    assert run.parameters["onehotencoder__dtype"] == "float64"
    assert "training/accuracy" in run.metrics


def test_a_selection_by_cross_validation_has_no_trials(
    autolog: Autolog, told: Told, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    RFECV(LogisticRegression(), cv=2).fit(*rows)
    assert "training/accuracy" in told()[0].metrics
    assert caplog.records == []


@pytest.mark.parametrize("is_positional", [True, False])
def test_training_rows_count_by_their_weights(
    autolog: Autolog, told: Told, rows: Rows, is_positional: bool
) -> None:
    x, weights = rows[0], rows[0][:, 2] ** 2
    target = x[:, 0] + x[:, 1] ** 2
    model = Ridge()
    if is_positional:
        model.fit(x, target, weights)
    else:
        model.fit(x, target, sample_weight=weights)
    wanted = mean_squared_error(target, model.predict(x), sample_weight=weights)
    assert told()[0].metrics["training/mse"].value == pytest.approx(wanted)


def test_one_weight_for_all_rows_is_none(autolog: Autolog, told: Told, rows: Rows) -> None:
    target = rows[0][:, 0]
    model = Ridge().fit(rows[0], target, sample_weight=2.0)
    wanted = mean_squared_error(target, model.predict(rows[0]))
    assert told()[0].metrics["training/mse"].value == pytest.approx(wanted)


def test_labels_have_many_forms(
    autolog: Autolog, told: Told, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    x, y = rows
    LogisticRegression().fit(x, y)
    LogisticRegression().fit(x.tolist(), ["yes" if each else "no" for each in y])
    Ridge().fit(x, y[:, None])  # a column
    KNeighborsClassifier().fit(x.tolist(), [[each, 1 - each] for each in y.tolist()])
    words = ("early late", "late", "early on", "on")
    make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(iter(words), [0, 1, 0, 1])
    plain, texts, column, several, once = told()
    assert texts.metrics["training/f1"].value == pytest.approx(plain.metrics["training/f1"].value)
    assert "training/r2" in column.metrics
    assert several.metrics == once.metrics == {}
    assert "multinomialnb__alpha" in once.parameters
    assert caplog.records == []


def test_a_permutation_test_is_one_run(autolog: Autolog, told: Told, rows: Rows) -> None:
    permutation_test = sklearn.model_selection.permutation_test_score
    permutation_test(LogisticRegression(C=2), *rows, cv=2, n_permutations=2)
    assert [(run.name, run.parameters["C"]) for run in told()] == [
        ("sklearn.permutation_test_score", "2")
    ]


def test_what_does_not_predict_is_not_told(autolog: Autolog, told: Told, rows: Rows) -> None:
    StandardScaler().fit(rows[0])
    KMeans(2, n_init=1).fit_predict(rows[0])
    assert [run.name for run in told()] == ["KMeans"]


def test_a_fit_that_fails_fails_as_before(autolog: Autolog, told: Told, rows: Rows) -> None:
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LogisticRegression().fit(rows[0], [1, 2])
    assert [run.status for run in told()] == ["failed"]


class Stubborn(BaseEstimator):
    """Predicts, and answers no question about itself."""

    def fit(self, x: Any, y: Any = None) -> "Stubborn":
        self.fitted_ = True
        return self

    def predict(self, x: Any) -> Any:
        raise RuntimeError("never")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        raise RuntimeError("nothing to say")


def test_trouble_with_telling_is_said_once_and_harms_no_fit(
    autolog: Autolog, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trivet.tracking"):
        for _ in range(3):
            assert Stubborn().fit([[1]], [1]).fitted_
    assert len(caplog.records) == 1
    assert "nothing to say" in caplog.text
    assert [run.status for run in told()] == ["succeeded"] * 3


def test_a_store_that_is_away_harms_no_fit(
    autolog: Autolog,
    tracking: TrackingService,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_: object, **__: object) -> Any:
        raise Unavailable("no space", code="disk-full", hint="Free some space.")

    monkeypatch.setattr(tracking.reported, "open", away)
    with caplog.at_level(logging.WARNING, "trivet.tracking"):
        assert LogisticRegression().fit(*rows).coef_.shape == (1, 4)
        assert LogisticRegression().fit(*rows).coef_.shape == (1, 4)
    assert len(caplog.records) == 1


def test_fits_in_threads_of_the_program_are_runs_of_their_own(
    autolog: Autolog, told: Told, rows: Rows
) -> None:
    with ThreadPool(3) as pool:
        models = pool.map(lambda c: LogisticRegression(C=c).fit(*rows), [0.1, 1.0, 10.0])
    threads = [threading.Thread(target=lambda: Ridge().fit(*rows)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [model.C for model in models] == [0.1, 1.0, 10.0]
    found = told()
    assert sorted(run.name for run in found) == ["LogisticRegression"] * 3 + ["Ridge"] * 2
    assert {run.parameters["C"] for run in found if "C" in run.parameters} == {"0.1", "1.0", "10.0"}


def test_a_forked_child_tells_nothing(autolog: Autolog, told: Told, rows: Rows) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            LogisticRegression().fit(*rows)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert told() == []


def test_stopped_is_as_if_it_had_never_been(
    tracking: TrackingService, told: Told, rows: Rows
) -> None:
    before = LogisticRegression.__dict__["fit"]
    with tracking.autolog("auto", system=False) as first:
        second = tracking.autolog("auto", system=False)
        assert (first.is_on, second.is_on) == (False, True)  # never two at once
        LogisticRegression().fit(*rows)
        second.stop()
        LogisticRegression().fit(*rows)
    assert len(told()) == 1
    assert LogisticRegression.__dict__["fit"] is before


def test_an_unknown_library_is_refused(tracking: TrackingService) -> None:
    with pytest.raises(Invalid, match="'sklaern'"):
        tracking.autolog(libraries=["sklaern"])
    with tracking.begin(system=False) as run, pytest.raises(Invalid, match="library is 'karas'"):
        run.callback("karas")


def _odd(*_: Any) -> tuple[str, float, bool]:
    return "odd@5", 0.5, True


def test_lightgbm_tells_each_iteration(
    autolog: Autolog, tracking: TrackingService, told: Told, rows: Rows
) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(rows[0][:150], rows[1][:150], free_raw_data=False)
    held = lightgbm.Dataset(rows[0][150:], rows[1][150:], reference=data, free_raw_data=False)
    stop = lightgbm.early_stopping(2, first_metric_only=True, verbose=False)
    given = {"objective": "binary", "verbose": -1, "max_depth": 2}
    lightgbm.train(given, data, 6, valid_sets=[held], callbacks=[stop], feval=_odd)
    lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(*rows, eval_X=rows[0], eval_y=rows[1])
    lightgbm.cv(given, lightgbm.Dataset(*rows), 3, nfold=3)
    native, classifier, validation = told()
    assert given.keys() == {"objective", "verbose", "max_depth"}  # the user's own
    assert native.parameters["num_boost_round"] == "6"
    losses = tracking.metric(native.id, "valid_0/binary_logloss")
    assert list(losses.steps) == list(range(len(losses.steps)))
    best = list(losses.values).index(min(losses.values))
    assert native.metrics["best_iteration"].value == 1 + best
    assert native.metrics["valid_0/odd_5"].value == 0.5  # a name that no metric can have
    assert classifier.name == "LGBMClassifier"
    assert list(tracking.metric(classifier.id, "valid_0/binary_logloss").steps) == [0, 1, 2, 3]
    assert "training/accuracy" in classifier.metrics
    assert "valid/binary_logloss_std" in validation.metrics
    for run in (native, classifier):
        assert [each.key for each in tracking.media(run.id)] == ["feature_importance"]


def test_xgboost_tells_each_iteration(
    autolog: Autolog, tracking: TrackingService, told: Told, rows: Rows
) -> None:
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(*rows)
    given = {"objective": "binary:logistic", "nthread": 1}
    xgboost.train(given, data, 4, evals=[(data, "train")], verbose_eval=False)
    xgboost.XGBClassifier(n_estimators=3, n_jobs=1, early_stopping_rounds=2).fit(
        *rows, eval_set=[rows], verbose=False
    )
    xgboost.cv(given, data, 2, nfold=2)
    native, classifier, validation = told()
    assert native.parameters == {**{k: str(v) for k, v in given.items()}, "num_boost_round": "4"}
    assert list(tracking.metric(native.id, "train/logloss").steps) == [0, 1, 2, 3]
    assert list(tracking.metric(classifier.id, "validation_0/logloss").steps) == [0, 1, 2]
    assert classifier.metrics["best_iteration"].value == 2
    assert "test/logloss_std" in validation.metrics
    assert [each.key for each in tracking.media(native.id)] == ["feature_importance"]
