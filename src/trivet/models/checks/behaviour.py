"""Checks of behaviour: answers that must hold, must not move, or must move one way.

After CheckList (Ribeiro et al. 2020): minimum functionality, invariance, directional expectation.
Numeric: imports NumPy and Polars.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.gates import Finding
from trivet.models.exam import Exam
from trivet.models.facts import Input
from trivet.models.metrics import Values
from trivet.models.rules import Direction, Invariance, MustHold
from trivet.statistics.intervals import wilson

_ROWS: Final = 2000


def must_hold(exam: Exam, rules: tuple[MustHold, ...]) -> Finding:
    """Every example gets the answer that is beyond doubt."""
    broken: list[str] = []
    for at, rule in enumerate(rules):
        answer = exam.session.run(exam.encoder.encode_rows([_full_row(exam, rule)]))[0]
        problem = _broken(exam, rule, answer.astype(np.float64))
        if problem:
            broken.append(
                f"example {at + 1}{f' ({rule.because})' if rule.because else ''} {problem}"
            )
    return Finding(
        check="",
        ok=not broken,
        summary="; ".join(broken) or f"all {len(rules)} examples hold",
        value=len(broken),
        threshold=0,
        rows=len(rules),
        evidence={"broken": broken},
    )


def invariance(exam: Exam, rule: Invariance) -> Finding:
    """Changing the input leaves the answer where it is."""
    _input(exam, rule.input)
    rows = _some_rows(exam)
    before = exam.predict(rows)
    moved = np.zeros(rows.height)
    kind = rows.schema[rule.input]
    for value in rule.to:
        changed = rows.with_columns(pl.lit(value).cast(kind).alias(rule.input))
        moved = np.maximum(moved, np.abs(exam.predict(changed) - before).max(axis=1))
    return _judged(
        moved / exam.spread > rule.tolerance,
        rule.limit,
        f"setting {rule.input!r} to {len(rule.to)} other values moves the answer by more than "
        f"{rule.tolerance:g}",
        largest=float(moved.max() / exam.spread),
    )


def direction(exam: Exam, rule: Direction) -> Finding:
    """Raising the input moves the answer one way."""
    item = _input(exam, rule.input)
    if item.type not in {"number", "integer"} or exam.signature.task == "multiclass":
        raise Invalid(
            f"the direction of {rule.input!r} is a question about a {item.type} and "
            f"{exam.signature.task}; expected a number, and one number as answer",
            code="bad-gate",
            hint="Use [[invariances]] or [[must_hold]] for it.",
        )
    rows = _some_rows(exam).filter(pl.col(rule.input).is_not_null())
    if rows.is_empty():
        return Finding(check="", ok=None, summary=f"no held-out row has a {rule.input!r}")
    raised = rows.with_columns(pl.col(rule.input).cast(pl.Float64) + rule.by)
    if item.type == "integer":
        raised = raised.with_columns(pl.col(rule.input).round())
    sign = 1.0 if rule.answer == "up" else -1.0
    change = sign * (exam.predict(raised) - exam.predict(rows))[:, 0] / exam.spread
    return _judged(
        change < -rule.tolerance,
        rule.limit,
        f"raising {rule.input!r} by {rule.by:g} moves the answer {rule.answer} by "
        f"{change.mean():.3g} on average, and the wrong way",
        largest=float(max(0.0, -change.min())),
    )


def _judged(broken: npt.NDArray[np.bool_], limit: float, what: str, *, largest: float) -> Finding:
    found = wilson(int(broken.sum()), broken.size)
    return Finding(
        check="",
        ok=found.high <= limit or (found.estimate == 0 and limit == 0),
        summary=f"{what} on {found.estimate:.1%} of {broken.size} rows (at most "
        f"{found.high:.1%}); allowed are {limit:.1%}",
        value=found.estimate,
        low=found.low,
        high=found.high,
        threshold=limit,
        rows=int(broken.size),
        evidence={"largest": largest},
    )


def _some_rows(exam: Exam) -> pl.DataFrame:
    rows = exam.holdout.rows
    return rows.gather_every(-(-rows.height // _ROWS))


def _input(exam: Exam, name: str) -> Input:
    found = next((item for item in exam.signature.inputs if item.name == name), None)
    if found is None:
        raise Invalid(
            f"{name!r} is no input of the model",
            code="bad-gate",
            hint=f"Its inputs are: {', '.join(exam.encoder.names)}.",
        )
    return found


def _full_row(exam: Exam, rule: MustHold) -> dict[str, Any]:
    typical = {item.name: item.example for item in exam.signature.inputs}
    return {**typical, **rule.row}


def _broken(exam: Exam, rule: MustHold, answer: Values) -> str:
    """Say how an answer breaks a rule, or nothing."""
    figure = float(answer[0])
    if rule.answer is not None:
        classes = exam.signature.classes
        if rule.answer not in classes:
            return f"expects {rule.answer!r}, which is no class"
        likeliest = int(figure >= 0.5) if len(answer) == 1 else int(answer.argmax())
        if classes[likeliest] != rule.answer:
            return f"is {classes[likeliest]!r}, not {rule.answer!r}"
        figure = float(answer[classes.index(rule.answer)]) if len(answer) > 1 else figure
    if rule.at_least is not None and figure < rule.at_least:
        return f"gets {figure:.3g}, less than {rule.at_least:g}"
    if rule.at_most is not None and figure > rule.at_most:
        return f"gets {figure:.3g}, more than {rule.at_most:g}"
    return ""
