"""The door through which labels and answers enter: what no metric could judge is refused here.

A probability that is NaN or above 1 would be counted by some metrics and dropped by others, and
the wrong model would win in silence. Numeric: imports NumPy.
"""

from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.models.facts import Task
from trivet.models.metrics import Values

_ROUNDING: Final = 1e-3
"""How far probabilities of single precision may leave [0, 1], and their sum leave 1."""
_LARGEST: Final = 1e150
"""What is larger has no square."""
_FEWEST_KINDS: Final = 20
"""Kinds of rows below which they may all occur an even number of times by chance."""
_FEWEST_VALUES: Final = 100
"""Different answers from which on equal rows are hardly chance."""
_MOST_COPIES: Final = 0.1
"""Share of copies that is worth a word."""


def check_answers(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, task: Task
) -> tuple[Values, Values]:
    """Read labels (n,) and predictions (n, m) as float64, n >= 1.

    Probabilities that leave [0, 1] by a rounding error are put back.

    Args:
        labels: Class numbers from 0 on, or values.
        predictions: The positive class's probability for `binary`, all classes' for `multiclass`,
            the number for `regression`.
        task: The kind of answer.

    Raises:
        Invalid: Their shapes do not fit each other or the task (code `wrong-shape`); a value is no
            finite number (`no-answer`), a label none of the classes (`unknown-class`), or a
            prediction no probability (`no-probability`).
    """
    if task not in get_args(Task):
        raise Invalid(
            f"task is {task!r}; expected one of {', '.join(get_args(Task))}",
            code="unknown-task",
            hint="Pass the kind of answer that the labels are.",
        )
    truth, answers = _numbers("labels", labels), _numbers("predictions", predictions)
    answers = answers.reshape(-1, 1) if answers.ndim < 2 else answers
    width = answers.shape[1] if answers.ndim == 2 else 0
    is_fit = width > 2 if task == "multiclass" else width == 1
    if truth.ndim != 1 or truth.size == 0 or len(answers) != truth.size or not is_fit:
        raise Invalid(
            f"labels of shape {truth.shape} and predictions of shape {answers.shape} do not fit "
            f"together for {task}",
            code="wrong-shape",
            hint="Pass one label and one row of predictions per row, n >= 1.",
        )
    _check_finite("labels", truth[:, None])
    _check_finite("predictions", answers)
    if task == "regression":
        return truth, answers
    _check_classes(truth, 2 if task == "binary" else width)
    return truth, _probabilities(answers)


def _numbers(name: str, values: npt.ArrayLike) -> Values:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise Invalid(
            f"{name} is a {type(values).__name__} that holds something other than numbers, or rows "
            "of unlike length",
            code="no-numbers",
            hint="Pass class numbers from 0 on as labels, and numbers as predictions.",
        ) from None


def _check_finite(name: str, values: Values) -> None:
    silent = ~(np.abs(values) <= _LARGEST).all(axis=1)
    if silent.any():
        raise Invalid(
            f"{name} has no finite number in {int(silent.sum())} of {len(values)} rows; "
            f"{_at(values[:, 0] if values.shape[1] == 1 else values, silent)}",
            code="no-answer",
            hint="Answer every row: fill what is missing, or leave those rows out for both models.",
        )


def _check_classes(truth: Values, classes: int) -> None:
    stray = (truth != np.floor(truth)) | (truth < 0) | (truth >= classes)
    if stray.any():
        raise Invalid(
            f"labels has {int(stray.sum())} of {truth.size} values that are none of the {classes} "
            f"classes 0 to {classes - 1}; {_at(truth, stray)}",
            code="unknown-class",
            hint="Number the classes from 0 on, in the order of the columns of the predictions; "
            "for binary the positive class is 1.",
        )


def _probabilities(answers: Values) -> Values:
    stray = ((answers < -_ROUNDING) | (answers > 1 + _ROUNDING)).any(axis=1)
    if stray.any():
        raise Invalid(
            f"predictions leaves 0 to 1 in {int(stray.sum())} of {len(answers)} rows; expected "
            f"probabilities; {_at(answers, stray)}",
            code="no-probability",
            hint="Pass probabilities, not scores: predict_proba in place of decision_function, or "
            "1 / (1 + exp(-score)), which keeps the order.",
        )
    sums = answers.sum(axis=1)
    stray = np.abs(sums - 1) > _ROUNDING
    if answers.shape[1] > 1 and stray.any():
        raise Invalid(
            f"predictions sums to other than 1 in {int(stray.sum())} of {len(answers)} rows; "
            f"expected a probability for each class; {_at(sums, stray)}",
            code="no-probability",
            hint="Divide each row by its sum, or pass scores through a softmax.",
        )
    return np.clip(answers, 0.0, 1.0)


def _at(values: npt.NDArray[Any], stray: npt.ArrayLike) -> str:
    row = int(np.argmax(stray))
    return f"row {row} has {np.array2string(values[row], precision=6, threshold=6)}"


def repeated_rows(labels: Values, champion: Values, candidate: Values) -> tuple[int, int]:
    """Count copies: rows that agree with another in label and both models' answers.

    Returns:
        How many rows repeat an earlier one, where answers are so many that this is no chance (0
        where they are few); and how often each row occurs, when the whole table is repeated (1
        when it is not).
    """
    rows = np.column_stack([labels, champion, candidate])
    _, counts = np.unique(rows, axis=0, return_counts=True)
    if counts.size < _FEWEST_KINDS:
        return 0, 1
    copies = int(labels.size - counts.size)
    finest = min(len(np.unique(champion, axis=0)), len(np.unique(candidate, axis=0)))
    is_fine = finest >= _FEWEST_VALUES and copies >= _MOST_COPIES * labels.size
    return copies if is_fine else 0, int(np.gcd.reduce(counts))
