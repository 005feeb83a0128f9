"""Three ordinary algorithms with ordinary settings, for a first proof of concept.

They load scikit-learn and LightGBM when they are called. Numeric: imports Polars.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import polars as pl

from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.facts import Signature, Task
from trivet.models.proof.fitting import Fit
from trivet.models.signatures import fit_signature

_ROUNDS: Final = 200
_TREES: Final = 200


def ordinary_algorithms(
    target: str, *, task: Task | None = None, drop: Sequence[str] = (), seed: int = 0
) -> dict[str, Fit]:
    """Return a linear model, a random forest and boosted trees, as functions of training rows.

    Args:
        target: The column to predict.
        task: The kind of answer; guessed from the target when None.
        drop: Columns that are no inputs.
        seed: Of the forest and the boosting.
    """

    def made(fit: Callable[[Any, Any, Encoder, int], object]) -> Fit:
        def train(rows: pl.DataFrame) -> Candidate:
            signature = fit_signature(
                rows, target, task, drop=drop, unknown="missing", allow_missing=True
            )
            encoder = Encoder(signature)
            matrix, labels = encoder.encode_frame(rows), encoder.encode_target(rows)
            return Candidate.of(fit(matrix, labels, encoder, seed), signature, sample=rows)

        return train

    return {
        "linear": made(_fit_linear),
        "forest": made(_fit_forest),
        "boosted trees": made(_fit_boosted),
    }


def _fit_linear(matrix: Any, labels: Any, encoder: Encoder, _seed: int) -> object:  # noqa: ANN401  # arrays
    linear: Any = import_module("sklearn.linear_model")
    is_number = encoder.signature.task == "regression"
    last = linear.Ridge() if is_number else linear.LogisticRegression(max_iter=2000)
    return _pipeline(encoder, last).fit(matrix, labels)


def _fit_forest(matrix: Any, labels: Any, encoder: Encoder, seed: int) -> object:  # noqa: ANN401  # arrays
    ensemble: Any = import_module("sklearn.ensemble")
    impute: Any = import_module("sklearn.impute")
    pipeline: Any = import_module("sklearn.pipeline")
    is_number = encoder.signature.task == "regression"
    kind = ensemble.RandomForestRegressor if is_number else ensemble.RandomForestClassifier
    forest = kind(n_estimators=_TREES, min_samples_leaf=5, random_state=seed)
    filled = impute.SimpleImputer(strategy="constant", fill_value=-1.0)
    return pipeline.make_pipeline(filled, forest).fit(matrix, labels)


def _fit_boosted(matrix: Any, labels: Any, encoder: Encoder, seed: int) -> object:  # noqa: ANN401  # arrays
    lightgbm: Any = import_module("lightgbm")
    data = lightgbm.Dataset(matrix, labels, categorical_feature=list(encoder.categorical))
    return lightgbm.train(_boosting(encoder.signature, seed), data, _ROUNDS)


def _boosting(signature: Signature, seed: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "objective": signature.task,
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 20,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    if signature.task == "multiclass":
        options["num_class"] = len(signature.classes)
    return options


def _pipeline(encoder: Encoder, last: object) -> Any:  # noqa: ANN401  # scikit-learn ships no types
    """Fill and scale numbers, turn categories into columns of 0 and 1, then `last`."""
    compose: Any = import_module("sklearn.compose")
    impute: Any = import_module("sklearn.impute")
    pipeline: Any = import_module("sklearn.pipeline")
    preprocessing: Any = import_module("sklearn.preprocessing")
    named = list(encoder.categorical)
    numbers = [at for at in range(len(encoder.features)) if at not in encoder.categorical]
    parts: list[tuple[Any, list[int]]] = []
    if numbers:
        filled = impute.SimpleImputer(strategy="median", keep_empty_features=True)
        parts.append((pipeline.make_pipeline(filled, preprocessing.StandardScaler()), numbers))
    if named:
        filled = impute.SimpleImputer(strategy="constant", fill_value=-1.0)
        ones = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        parts.append((pipeline.make_pipeline(filled, ones), named))
    return pipeline.make_pipeline(compose.make_column_transformer(*parts), last)
