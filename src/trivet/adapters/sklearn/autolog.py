"""Fits of scikit-learn that report by themselves.

Any estimator that predicts, pipelines and searches among them; what is fitted within such a fit is
its own business. Answers on the training rows are measured on at most 5,000 of them.
"""

import inspect
import numbers
import operator
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from typing import Any, Final, cast

from trivet.core.training import Call, Finished, Reporter, Watch

_METHODS: Final = ("fit", "fit_predict")
_MOST_ROWS: Final = 5_000
_MOST_ITEMS: Final = 20
_VALIDATION: Final = "sklearn.model_selection._validation"
_MANY_FITS: Final = (
    "cross_val_predict",
    "learning_curve",
    "permutation_test_score",
    "validation_curve",
)


class SklearnAutologger:
    """Watches fits and cross-validations."""

    library = "sklearn"

    def attach(self, watch: Watch) -> None:
        import sklearn.base
        import sklearn.model_selection as _  # noqa: F401  # its functions are watched

        watch.methods(sklearn.base.BaseEstimator, _METHODS, _fit, _is_told)
        also = ("sklearn.model_selection",)
        watch.function(f"{_VALIDATION}:cross_validate", _cross_validate, also=also)
        # What they fit is theirs; which estimator it was is told.
        for name in _MANY_FITS:
            watch.function(f"{_VALIDATION}:{name}", _many_fits, also=also)


def _is_told(estimator: Any) -> bool:
    return any(hasattr(cast("Any", type)(estimator), name) for name in ("predict", "fit_predict"))


def _fit(run: Reporter, call: Call) -> Finished:
    estimator = call.owner
    _describe(run, estimator)

    def finished(_: Any) -> None:
        # Others keep results by that name, too, without trials: RFECV.
        has_trials = "params" in getattr(estimator, "cv_results_", ())
        metrics = _search(run, estimator) if has_trials else {}
        metrics |= _on_training_rows(estimator, call)
        if metrics:
            run.log(metrics)

    return finished


def _cross_validate(run: Reporter, call: Call) -> Finished:
    _describe(run, call.argument(0, "estimator"))

    def finished(results: Any) -> None:
        metrics: dict[str, float] = {}
        folds: dict[str, list[float]] = {}
        for name, values in results.items():
            if isinstance(values[0], numbers.Real):
                folds[name] = [float(value) for value in values]
                metrics[f"cv/mean_{name}"] = float(values.mean())
                metrics[f"cv/std_{name}"] = float(values.std())
        for fold, scores in enumerate(zip(*folds.values(), strict=True)):
            run.log({f"cv/{name}": x for name, x in zip(folds, scores, strict=True)}, step=fold)
        run.log(metrics)
        run.table("cross_validation", folds)

    return finished


def _many_fits(run: Reporter, call: Call) -> None:
    _describe(run, call.argument(0, "estimator"))


def _describe(run: Reporter, estimator: Any) -> None:
    kind: type = cast("Any", type)(estimator)
    run.set_tags(
        {"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__name__}"}
    )
    parameters = estimator.get_params(deep=True)
    run.set_parameters({name: plain(value) for name, value in parameters.items()})


def plain(value: object) -> str:
    """Write a parameter down, without asking foreign objects for their text, which may be long."""
    if value is None or isinstance(value, str | int | float | bool):
        return str(value)
    if isinstance(value, numbers.Number):  # a number of NumPy
        return str(value)
    if isinstance(value, tuple | list | set | frozenset | dict):
        return _written(cast("Any", value))
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):  # that of a class, such as a dtype, is a descriptor
        return f"{type(value).__name__}{tuple(cast('Any', shape))}"
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return str(name)


def _written(value: Any) -> str:
    shown: list[object] = list(value)[:_MOST_ITEMS]
    more = ", …" if len(value) > _MOST_ITEMS else ""
    if isinstance(value, dict):
        pairs_of = cast("dict[object, object]", value)
        pairs = (f"{plain(key)}: {plain(pairs_of[key])}" for key in shown)
        return "{" + ", ".join(pairs) + more + "}"
    first, last = ("(", ")") if isinstance(value, tuple) else ("[", "]")
    return first + ", ".join(map(plain, shown)) + more + last


# ----------------------------------------------------------------------- searches


def _search(run: Reporter, search: Any) -> dict[str, float]:
    """Tell the trials of a search: as a table, and their scores as curves over the trials."""
    results = search.cv_results_
    scores = [name for name in results if name.startswith("mean_test_")]
    for trial in range(len(results["params"])):
        figures = {f"cv/{name}": float(results[name][trial]) for name in scores}
        run.log(figures, step=trial)
    columns: dict[str, Sequence[object]] = {}
    for name, values in results.items():
        if name == "params":
            columns[name] = [plain(value) for value in values]
        elif not name.startswith("param_"):
            columns[name] = [float(value) for value in values]
    run.table("cv_results", columns)
    best = getattr(search, "best_params_", {})
    run.set_parameters({f"best_{name}": plain(value) for name, value in best.items()})
    score = getattr(search, "best_score_", None)
    return {} if score is None else {"best_cv_score": float(score)}


# ------------------------------------------------------------------- training rows


_Measure = tuple[str, Callable[[], Any]]


def _on_training_rows(estimator: Any, call: Call) -> dict[str, float]:
    rows, truth = call.argument(0, "X"), _one_target(call.argument(1, "y"))
    measures = _measures_for(estimator)
    # What was read once, such as a generator, cannot be predicted again.
    is_there = hasattr(rows, "shape") or isinstance(rows, Sized)
    if not is_there or truth is None or measures is None:
        return {}
    some = _some(rows, truth, _weights(call))
    metrics: dict[str, float] = {}
    for name, measure in measures(estimator, *some):
        try:
            metrics[f"training/{name}"] = float(measure())
        except (ValueError, TypeError, AttributeError):
            continue  # this measure means nothing for these labels
    return metrics


def _one_target(truth: Any) -> Any:
    """Return what was to be learned; several targets at once have no one accuracy: None."""
    shape = getattr(truth, "shape", None)
    if shape is None:
        is_nested = bool(truth) and isinstance(truth[0], Sized) and not isinstance(truth[0], str)
        return None if is_nested else truth
    if len(shape) == 2 and shape[1] == 1:  # a frame of one column
        truth = truth.to_numpy() if hasattr(truth, "to_numpy") else truth
        return truth.ravel() if hasattr(truth, "ravel") else None
    return truth if len(shape) == 1 else None


def _weights(call: Call) -> Any:
    """Return the weights of the rows, however they were passed; their place is the estimator's."""
    weights = call.kwargs.get("sample_weight")
    names = [*inspect.signature(call.owner.fit).parameters]
    if "sample_weight" in names:
        weights = call.argument(names.index("sample_weight"), "sample_weight")
    return weights if isinstance(weights, Sized) else None  # one number weighs all rows alike


def _measures_for(estimator: Any) -> Callable[[Any, Any, Any, Any], Iterator[_Measure]] | None:
    from sklearn import base

    library: Any = base
    if not hasattr(estimator, "predict"):
        return None
    if library.is_classifier(estimator):
        return _of_classifier
    return _of_regressor if library.is_regressor(estimator) else None


def _some(rows: Any, truth: Any, weights: Any) -> tuple[Any, Any, Any]:
    from sklearn import utils

    library: Any = utils
    count = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    if count <= _MOST_ROWS:
        return rows, truth, weights
    how = {"replace": False, "n_samples": _MOST_ROWS, "random_state": 0}
    if weights is None:
        return (*library.resample(rows, truth, **how), None)
    return tuple(library.resample(rows, truth, weights, **how))


def _of_classifier(estimator: Any, rows: Any, truth: Any, weights: Any) -> Iterator[_Measure]:
    from sklearn import metrics

    library: Any = metrics
    said = estimator.predict(rows)
    about = {"sample_weight": weights}
    yield "accuracy", lambda: library.accuracy_score(truth, said, **about)
    # Three measures of one count: it is most of their work.
    three = library.precision_recall_fscore_support(
        truth, said, average="weighted", zero_division=0, **about
    )
    for place, name in enumerate(("precision", "recall", "f1")):
        yield name, partial(operator.itemgetter(place), three)
    classes = list(getattr(estimator, "classes_", ()))
    if not hasattr(estimator, "predict_proba") or len(classes) < 2:
        return
    sure = estimator.predict_proba(rows)
    yield "log_loss", lambda: library.log_loss(truth, sure, labels=classes, **about)
    if len(set(truth)) == len(classes):
        shown = sure[:, 1] if len(classes) == 2 else sure
        yield (
            "roc_auc",
            lambda: library.roc_auc_score(
                truth, shown, multi_class="ovr", average="weighted", labels=classes, **about
            ),
        )


def _of_regressor(estimator: Any, rows: Any, truth: Any, weights: Any) -> Iterator[_Measure]:
    from sklearn import metrics

    library: Any = metrics
    said = estimator.predict(rows)
    about = {"sample_weight": weights}
    yield "mse", lambda: library.mean_squared_error(truth, said, **about)
    yield "rmse", lambda: library.root_mean_squared_error(truth, said, **about)
    yield "mae", lambda: library.mean_absolute_error(truth, said, **about)
    yield "r2", lambda: library.r2_score(truth, said, **about)
