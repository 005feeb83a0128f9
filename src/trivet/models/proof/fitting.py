"""One algorithm, fitted and asked: a step that is remembered by its code and its rows.

Numeric: imports NumPy and Polars.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import numpy as np
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.ports import Flavour
from trivet.models.answers import check_answers
from trivet.models.candidate import Candidate, flavour_for
from trivet.models.encoding import Encoder
from trivet.models.facts import Signature
from trivet.models.metrics import Values
from trivet.models.proof.cost import BATCH_ROWS, answer_times, fitted
from trivet.models.proof.result import ServingCost, TrainingCost
from trivet.models.session import open_session
from trivet.pipelines.context import Definition, current

Fit = Callable[[pl.DataFrame], object]
"""Takes training rows with the target; returns a `Candidate`, an object with `predict_proba` or
`predict`, or a function of rows. Rows to be answered come without the target; answers are as
`models.evaluation` has them."""


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of fitting an algorithm once."""

    answers: Values
    """On the test rows, shape (n, m)."""
    training: TrainingCost
    serving: ServingCost | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers must fit to."""

    signature: Signature
    """For the task, the target and the classes; its inputs are those of no algorithm."""
    flavours: tuple[Flavour, ...] = ()


def fit_step(
    name: str, fit: Fit, asked: Asked
) -> Callable[[pl.DataFrame, pl.DataFrame, bool], Fitted]:
    """Make the step that fits one algorithm and lets it answer.

    It takes the training rows, the test rows, and whether to measure what answers cost.
    """

    def make(training: pl.DataFrame, test: pl.DataFrame, is_served: bool) -> dict[str, Any]:  # noqa: FBT001  # a step's argument
        with _named(name, "was fitted"):
            model, seconds, peak = fitted(lambda: fit(training))
        rows = test.drop(asked.signature.target)
        way = _answering(name, model, asked)
        with _named(name, "answered"):
            given = way.answer_frame(rows)
        answers = _checked(name, given, test, asked)
        serving = None
        if is_served:
            some = rows.head(BATCH_ROWS)
            singles = [way.rows_of(some[at : at + 1]) for at in range(some.height)]
            serving = answer_times(way.answer, singles, way.rows_of(some)) | {
                "form": "in memory" if way.size_bytes is None else "package",
                "batch_rows": some.height,
                "size_bytes": way.size_bytes,
            }
        training_cost = {"seconds": seconds, "peak_bytes": peak}
        return {"answers": answers, "training": training_cost, "serving": serving}

    definition = Definition(kind="step", name=f"fit-{name}", function=make, depends=(fit,))

    def step(training: pl.DataFrame, test: pl.DataFrame, is_served: bool) -> Fitted:  # noqa: FBT001  # the same
        caller, arguments = current().caller, (training, test, is_served)
        kept = make(*arguments) if caller is None else caller.call(definition, arguments, {})
        found = dict(cast("dict[str, Any]", kept))
        return Fitted(
            answers=found["answers"],
            training=msgspec.convert(found["training"], TrainingCost),
            serving=msgspec.convert(found["serving"], ServingCost | None),
        )

    return step


@contextmanager
def _named(name: str, what: str) -> Generator[None, None, None]:
    """Name the algorithm in whatever it raises."""
    try:
        yield
    except Exception as error:
        raise Invalid(
            f"algorithm {name!r} raised a {type(error).__name__} when it {what}: {error}",
            code="algorithm-failed",
            hint=getattr(error, "hint", None)
            or "Call it with the training rows by itself to see where it fails.",
        ) from error


class _Way(msgspec.Struct, frozen=True):
    """How a model answers."""

    answer_frame: Callable[[pl.DataFrame], Any]
    answer: Callable[[Any], Any]
    """As it is served: takes what `rows_of` makes of a frame."""
    rows_of: Callable[[pl.DataFrame], Any]
    size_bytes: int | None = None


def _answering(name: str, model: object, asked: Asked) -> _Way:
    if isinstance(model, Candidate):
        return _packaged(name, model, asked.flavours, asked.signature)
    for method in ("predict_proba", "predict"):
        found: Any = getattr(model, method, None)
        if callable(found):
            return _Way(found, found, _as_it_is)
    if callable(model):
        return _Way(model, model, _as_it_is)
    raise Invalid(
        f"algorithm {name!r} returned a {type(model).__name__}; expected a Candidate, an object "
        "with predict_proba or predict, or a function of rows",
        code="no-predict",
        hint="Return what answers rows: lambda rows: model.predict_proba(prepare(rows)).",
    )


def _as_it_is(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def _packaged(
    name: str, candidate: Candidate, flavours: Sequence[Flavour], wanted: Signature
) -> _Way:
    signature = candidate.signature
    if (signature.task, signature.classes) != (wanted.task, wanted.classes):
        raise Invalid(
            f"algorithm {name!r} answers {signature.task} with classes {signature.classes}; "
            f"expected {wanted.task} with {wanted.classes}",
            code="other-task",
            hint="Fit its signature to the same target, with the same positive class.",
        )
    # An unseen category counts as missing, so that every algorithm answers the same rows.
    inputs = (
        msgspec.structs.replace(item, missing="allow", unknown="missing")
        for item in signature.inputs
    )
    encoder = Encoder(msgspec.structs.replace(signature, inputs=tuple(inputs)))
    if not flavours:
        lenient = Candidate(candidate.model, encoder.signature, candidate.sample)
        return _Way(lenient.predict, lenient.predict, _as_it_is)
    flavour = flavour_for(candidate.model, flavours)
    features = len(encoder.features)
    converted = flavour.convert(candidate.model, features=features, task=signature.task)
    session = open_session(converted.onnx, encoder.encode_frame(candidate.sample)[:100])
    size_bytes = len(converted.source) + len(converted.onnx)
    return _Way(
        lambda rows: session.run(encoder.encode_frame(rows)),
        lambda rows: session.run(encoder.encode_rows(rows)),
        encoder.rows_of,
        size_bytes,
    )


def _checked(name: str, answers: object, test: pl.DataFrame, asked: Asked) -> Values:
    task = asked.signature.task
    try:
        given: Any = np.asarray(answers, dtype=np.float64)
        if task == "binary" and given.ndim == 2 and given.shape[1] == 2:
            given = given[:, 1:]
        _, checked = check_answers(np.zeros(test.height), given, task)
    except (TypeError, ValueError) as error:  # Invalid is a ValueError, too
        fallback = (
            "Answer with the positive class's probability for binary, all classes' for multiclass, "
            "the number for regression."
        )
        raise Invalid(
            f"the answers of algorithm {name!r} to {test.height} rows do not fit {task}: {error}",
            code=error.code if isinstance(error, Invalid) else "wrong-shape",
            hint=(error.hint if isinstance(error, Invalid) else None) or fallback,
        ) from error
    return checked
