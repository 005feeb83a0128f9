"""Fitting the model of late arrivals, and the simple forecasts that it must beat.

Every constant here was chosen on January and February alone: three folds of nine days in February,
each trained on the flights that had landed before it began. Boosters of 8 to 31 leaves agree there
within 0.002 of AUC, so the smaller ones serve. Holding thirteen features to the direction that
common sense gives them costs nothing (Brier score 0.1546 against 0.1545, AUC 0.721 against 0.719)
and rules out that more rain should look like good news. Calibrating the probabilities on the days
before each fold, by Platt's logistic map as by isotonic regression, moved the Brier score by less
than 0.0005 either way, so they are LightGBM's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.core.errors import Invalid
from trivet.demo.features import FEATURES
from trivet.models.encoding import Encoder
from trivet.models.facts import Signature
from trivet.models.signatures import fit_signature

TARGET = "late"
MOST_ROUNDS = 500
LEAST_ROUNDS = 150
"""A validation window of few days sometimes asks for too few trees; fewer never did better."""
PATIENCE_ROUNDS = 40
VALIDATION_SHARE = 0.2
"""Of the days, the last ones, on which the number of trees is chosen."""

PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 500,
    "lambda_l2": 50.0,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    # A destination with few flights must not be told apart by luck.
    "cat_l2": 200.0,
    "cat_smooth": 200.0,
    "min_data_per_group": 300,
    "monotone_constraints_method": "intermediate",
    # The same trees on every machine and at every attempt.
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}

Probabilities = npt.NDArray[np.float64]
_DIRECTIONS = {"rises": 1, "falls": -1, "free": 0}


@dataclass(frozen=True)
class Fitted:
    """A trained model with what is needed to use and to describe it.

    Attributes:
        booster: Takes the matrix that the signature's encoder makes, gives P(late).
        signature: The inputs, in order, with the categories seen in training.
        rounds: Trees.
        validation_loss: Mean log loss, in nats, on the last days, of a model that had not seen
            them, as large as the larger of `rounds` and the best size found there.
    """

    booster: lightgbm.Booster
    signature: Signature
    rounds: int
    validation_loss: float


def labelled(features: pl.DataFrame) -> pl.DataFrame:
    """Keep the flights whose label is known: those that reached their destination by then."""
    return features.drop_nulls(TARGET)


def describe_inputs(examples: pl.DataFrame) -> Signature:
    """Describe the model's inputs as these examples show them.

    A number may be missing in a request even where it never was in training, and a new
    destination counts as a missing one.
    """
    return fit_signature(
        examples.select(TARGET, *(feature.name for feature in FEATURES)),
        TARGET,
        "binary",
        positive=True,
        unknown="missing",
        allow_missing=True,
    )


class _Rows(NamedTuple):
    matrix: npt.NDArray[np.float32]
    labels: Probabilities

    def where(self, chosen: npt.NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.matrix[chosen], self.labels[chosen])


def _boost(
    rows: _Rows,
    rounds: int,
    parameters: dict[str, Any],
    *,
    categories: list[int],
    validation: _Rows | None = None,
) -> lightgbm.Booster:
    library: Any = lightgbm  # its signatures are partly untyped
    known = library.Dataset(*rows, categorical_feature=categories, params=parameters)
    if validation is None:
        return library.train(parameters, known, rounds)
    return library.train(
        parameters,
        known,
        rounds,
        valid_sets=[library.Dataset(*validation, reference=known, params=parameters)],
        callbacks=[library.early_stopping(PATIENCE_ROUNDS, verbose=False)],
    )


def _last_days(days: pl.Series) -> npt.NDArray[np.bool_]:
    """Mark the rows of the last fifth of the days."""
    distinct = days.unique().sort()
    if len(distinct) < 5:
        raise Invalid(
            f"the examples span {len(distinct)} days; expected at least 5",
            code="too-few-days",
            hint="Train on more days: the last ones choose the size of the model.",
        )
    first = distinct[len(distinct) - round(len(distinct) * VALIDATION_SHARE)]
    return (days >= first).to_numpy()


def fit(examples: pl.DataFrame, *, seed: int = 1, threads: int = 1) -> Fitted:
    """Train on flights whose outcome is known.

    The number of trees is chosen on the last fifth of the days by a model trained on those
    before; then a model of that size is trained on all days. Log loss decides, a proper score, so
    the probabilities mean what they say.

    Args:
        examples: Rows of `build_features`; those without a label are passed over.
        seed: Of the rows and columns that each tree is shown.
        threads: Of LightGBM. One is slower on an idle machine and many times faster on a busy
            one, where waiting threads burn the time of those at work.

    Raises:
        Invalid: Too few rows or days, or one class alone.
    """
    examples = labelled(examples)
    signature = describe_inputs(examples)
    encoder = Encoder(signature)
    rows = _Rows(encoder.encode_frame(examples), encoder.encode_target(examples))
    parameters: dict[str, Any] = {
        **PARAMETERS,
        "monotone_constraints": directions(signature),
        "num_threads": threads,
        "seed": seed,
    }
    categories = category_columns(signature)
    is_last = _last_days(examples["day"])
    trial = _boost(
        rows.where(~is_last),
        MOST_ROUNDS,
        parameters,
        categories=categories,
        validation=rows.where(is_last),
    )
    rounds = max(trial.best_iteration, LEAST_ROUNDS)
    return Fitted(
        booster=_boost(rows, rounds, parameters, categories=categories),
        signature=signature,
        rounds=rounds,
        validation_loss=float(trial.best_score["valid_0"]["binary_logloss"]),
    )


def category_columns(signature: Signature) -> list[int]:
    """Where the codes of categories stand in the model's matrix."""
    return [at for at, item in enumerate(signature.inputs) if item.type == "category"]


def directions(signature: Signature) -> list[int]:
    """Which way more of each input moves the forecast: 1 up, -1 down, 0 as the data say."""
    effects = {feature.name: _DIRECTIONS[feature.effect] for feature in FEATURES}
    return [effects[item.name] for item in signature.inputs]


def predict(fitted: Fitted, rows: pl.DataFrame) -> Probabilities:
    """Give P(late) for rows of `build_features`, shape (n,), with the original model."""
    matrix = Encoder(fitted.signature).encode_frame(rows)
    return np.asarray(fitted.booster.predict(matrix), dtype=np.float64)


@dataclass(frozen=True)
class RateTable:
    """A forecast without a model: how often such flights were late.

    Attributes:
        columns: What makes flights alike.
        rates: Those columns and `rate`, one row a group.
        overall: For groups never seen.
    """

    columns: tuple[str, ...]
    rates: pl.DataFrame
    overall: float

    def predict(self, rows: pl.DataFrame) -> Probabilities:
        """Give P(late) for rows of `build_features`, shape (n,)."""
        if not self.columns:
            return np.full(rows.height, self.overall)
        keyed = _with_hour(rows).select(self.columns)
        found = keyed.join(self.rates, on=self.columns, how="left", maintain_order="left")
        return found["rate"].fill_null(self.overall).to_numpy()


def _with_hour(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns((pl.col("departure_minute") // 60).cast(pl.Int32).alias("hour"))


def fit_rates(
    examples: pl.DataFrame,
    columns: Sequence[str] = ("carrier", "hour"),
    *,
    prior_flights: int = 50,
) -> RateTable:
    """Count how often flights were late, by carrier and hour of departure.

    Args:
        examples: Rows of `build_features`; those without a label are passed over.
        columns: Categories, or `hour`; none at all gives the overall rate to everyone.
        prior_flights: A group's rate is drawn towards the overall one as if so many more of its
            flights had been seen at that rate.

    Raises:
        Invalid: No example has a label.
    """
    known = _with_hour(labelled(examples))
    if known.is_empty():
        raise Invalid(
            "no example has a label",
            code="too-few-rows",
            hint="Wait until flights have landed.",
        )
    late = pl.col(TARGET).cast(pl.Float64)
    overall = float(known[TARGET].cast(pl.Float64).to_numpy().mean())
    rate = (late.sum() + prior_flights * overall) / (pl.len() + prior_flights)
    rates = known.group_by(*columns).agg(rate.alias("rate")) if columns else pl.DataFrame()
    return RateTable(tuple(columns), rates, overall)
