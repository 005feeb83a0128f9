"""Checks of the data behind a model: its schema, and signs that it was told the answer.

Numeric: imports NumPy and Polars.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.gates import Finding
from trivet.models.exam import Exam
from trivet.models.facts import Input
from trivet.models.metrics import Values
from trivet.models.rules import Leakage
from trivet.models.signatures import looks_like_identifier
from trivet.statistics.metrics import auc

_NUMBERS: Final = ("int", "uint", "float", "double", "half", "decimal")
_TEXTS: Final = ("string", "large_string", "utf8", "large_utf8", "dictionary", "cat", "enum")
_TYPES: Final = {
    "number": _NUMBERS,
    "integer": _NUMBERS,
    "boolean": ("bool",),
    "category": (*_TEXTS, "int", "uint"),
    "datetime": ("timestamp", "date", *_TEXTS),
}
_BINS: Final = 32
_PRIOR_ROWS: Final = 20.0


def schema(exam: Exam) -> Finding:
    """Every input is a column of the data commit, of a type that suits it."""
    inputs = exam.signature.inputs
    if not exam.columns:
        return Finding(
            check="",
            ok=True,
            summary=f"all {len(inputs)} inputs are columns of the held-out rows",
            value=len(inputs),
        )
    wrong = [problem for item in inputs if (problem := _problem(item, exam.columns))]
    return Finding(
        check="",
        ok=not wrong,
        summary="; ".join(wrong)
        or f"all {len(inputs)} inputs are columns of the data commit, of fitting types",
        value=len(wrong),
        threshold=0,
        evidence={"problems": wrong},
    )


def contract(exam: Exam) -> Finding:
    """The contract takes the rows of today: few have a category or a gap that it refuses."""
    held, allowed = exam.holdout, exam.spec.rows.refused
    rows = held.size + held.refused
    share = held.refused / rows
    return Finding(
        check="",
        ok=share <= allowed,
        summary=f"the contract refuses {share:.1%} of {rows} held-out rows for unknown categories "
        f"or gaps; allowed are {allowed:.1%}",
        value=share,
        threshold=allowed,
        rows=rows,
    )


def target_not_an_input(exam: Exam) -> Finding:
    """The answer is not among the questions, under its own name or as a copy."""
    target = exam.signature.target
    truth = exam.training.get_column(target).cast(pl.String)
    names = [item.name for item in exam.signature.inputs]
    copies = [
        name
        for name in names
        if name == target or exam.training.get_column(name).cast(pl.String).equals(truth)
    ]
    return Finding(
        check="",
        ok=not copies,
        summary=f"{copies[0]!r} is the target {target!r} itself"
        if copies
        else f"none of {len(names)} inputs is the target {target!r}",
        evidence={"inputs": copies},
    )


def no_identifiers(exam: Exam) -> Finding:
    """No input names its rows."""
    keys = set(exam.spec.rows.key)
    names = [
        item.name
        for item in exam.signature.inputs
        if item.name in keys or looks_like_identifier(exam.training.get_column(item.name))
    ]
    return Finding(
        check="",
        ok=not names,
        summary=f"{names[0]!r} has another value in every row and names it"
        if names
        else "no input names its rows",
        evidence={"inputs": names},
    )


def no_telling_input(exam: Exam, rules: Leakage) -> Finding:
    """No single input gives the answer away."""
    figures = single_input_figures(exam)
    name, figure = max(figures.items(), key=lambda item: item[1])
    measure = "an area under the curve of" if exam.signature.task == "binary" else "a share of"
    return Finding(
        check="",
        ok=figure < rules.single_input,
        summary=f"the most telling input, {name!r}, alone reaches {measure} {figure:.3f}; suspect "
        f"from {rules.single_input:g}",
        value=figure,
        threshold=rules.single_input,
        rows=exam.holdout.size,
        evidence={"figures": {key: round(value, 4) for key, value in figures.items()}},
    )


def rows_apart(exam: Exam, rules: Leakage) -> Finding:
    """No held-out row stands in the training table."""
    held, training = exam.holdout.rows, exam.training
    # By the share of twins that agree in the target, too, hidden labels could be read off.
    hidden = {exam.signature.target} if exam.spec.champion.figures == "hidden" else set[str]()
    keys = list(exam.spec.rows.key) or [
        name
        for name, kind in held.schema.items()
        if training.schema.get(name) == kind and not kind.is_nested() and name not in hidden
    ]
    for name in keys:
        if name not in held.columns or name not in training.columns:
            raise Invalid(
                f"the key column {name!r} is not in both tables",
                code="absent-field",
                hint="Name columns of the data in [rows] key.",
            )
    shared = held.join(training, on=keys, how="semi", nulls_equal=True).height / held.height
    allowed = rules.repeats
    if not exam.spec.rows.key:
        allowed += _shared_by_chance(held.select(keys), training.select(keys))
    return Finding(
        check="",
        ok=shared <= allowed,
        summary=f"{shared:.1%} of {held.height} held-out rows stand in the training table too; "
        f"allowed are {allowed:.1%}",
        value=shared,
        threshold=allowed,
        rows=held.height,
    )


def _shared_by_chance(held: pl.DataFrame, training: pl.DataFrame) -> float:
    """Return the share of held-out rows that a fair split leaves with a twin in training.

    Tables of few columns repeat themselves; that alone is no leak. A row that stands m times in
    both tables together has a twin in training unless all others were held out, too. Three
    standard errors are added.
    """
    pooled = pl.concat([held, training], how="vertical")
    times = pooled.group_by(held.columns).len("times")
    found = held.join(times, on=held.columns, how="left", nulls_equal=True, maintain_order="left")
    out = held.height / pooled.height
    expected = float((1 - out ** (found["times"] - 1).to_numpy()).mean())
    return expected + 3 * math.sqrt(expected * (1 - expected) / held.height)


def time_order(exam: Exam) -> Finding:
    """Every held-out row is later than every training row."""
    held, training = exam.holdout.times, exam.training_times
    if held is None or training is None:
        return Finding(check="", ok=True, summary="rows have no time; their order says nothing")
    early = float((held <= training.max()).mean())
    return Finding(
        check="",
        ok=early == 0,
        summary=f"{early:.1%} of {held.size} held-out rows are not later than the last training "
        "row",
        value=early,
        threshold=0,
        rows=int(held.size),
    )


def single_input_figures(exam: Exam) -> dict[str, float]:
    """Measure what each input alone tells, on held-out rows.

    An input is cut into bins at training quantiles (each category is its own, and so is a missing
    value); the training target's mean per bin, drawn towards the overall mean by 20 rows, is the
    answer. That sees what a straight line does not.

    Returns:
        Input name to area under the curve (`binary`), else the share of variance explained (of
        the best class for `multiclass`), at least 0.
    """
    encoder = exam.encoder
    before, now = encoder.encode_frame(exam.training), encoder.encode_frame(exam.holdout.rows)
    truth, labels = encoder.encode_target(exam.training), exam.holdout.labels
    goals = [(truth, labels)]
    if exam.signature.task == "multiclass":
        goals = [
            ((truth == at).astype(float), (labels == at).astype(float))
            for at in range(len(exam.signature.classes))
        ]
    figures: dict[str, float] = {}
    for at, item in enumerate(encoder.sources):
        slots, here = _slots(item, before[:, at], now[:, at])
        figure = max(
            _figure(_means(slots, goal)[here], goal_now, is_binary=exam.signature.task == "binary")
            for goal, goal_now in goals
        )
        figures[item.name] = max(figure, figures.get(item.name, 0.0))
    return figures


def _slots(
    item: Input, before: npt.NDArray[np.float32], now: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Number the bins of training and held-out values; slot 0 is a missing value."""
    known = before[~np.isnan(before)]
    if item.type == "category":
        edges = np.unique(known)
    else:
        shares = np.arange(1, _BINS) / _BINS
        edges = np.unique(np.quantile(known, shares)) if known.size else known
    first, second = (
        np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="left") + 1)
        for values in (before, now)
    )
    return first, second


def _means(slots: npt.NDArray[np.intp], goal: Values) -> Values:
    size = int(slots.max()) + 2  # held-out values may lie beyond the last training bin
    counts = np.bincount(slots, minlength=size)
    sums = np.bincount(slots, weights=goal, minlength=size)
    return (sums + _PRIOR_ROWS * goal.mean()) / (counts + _PRIOR_ROWS)


def _figure(answers: Values, labels: Values, *, is_binary: bool) -> float:
    if is_binary:
        return auc(labels, answers)
    spread = float(np.square(labels - labels.mean()).sum())
    return 0.0 if spread == 0 else 1 - float(np.square(labels - answers).sum()) / spread


def _problem(item: Input, columns: Mapping[str, str]) -> str:
    found = columns.get(item.name)
    if found is None:
        return f"input {item.name!r} is no column of the data commit"
    if not found.lower().startswith(_TYPES[item.type]):
        return f"input {item.name!r} is {found} in the data commit; expected a {item.type}"
    return ""
