"""How often held-out rows were looked at, and what the next look is worth.

Every verdict about a model leaks a little of the rows it was reached on to whoever tunes the
next one. Rows that are labelled afresh leak nothing of the old ones, so looks at periods that do
not overlap are counted apart. A yes opens a way of its own: the looks after it share its level.
"""

from collections.abc import Sequence

import msgspec

from trivet.models.facts import GateVerdict
from trivet.models.rules import Champion
from trivet.statistics.budget import LookBudget


class Look(msgspec.Struct, frozen=True):
    """One look at held-out rows: its number over all that may be theirs, and its level.

    `number` counts every look at them and at other rows of the name; `alpha` is one-sided.
    """

    number: int
    alpha: float


def next_look(
    earlier: Sequence[GateVerdict],
    question: str,
    span_us: tuple[int | None, int | None],
    rules: Champion,
    labels: str | None = None,
) -> Look:
    """Price the next look. Asking the same question again is the same look.

    Args:
        earlier: The verdicts of this model's name, and those on the same labels under other names,
            oldest first.
        question: Digest of what is asked.
        span_us: Event time of the first and last held-out row, where they have one.
        rules: How strict, and what counts.
        labels: Digest of the held-out labels: looks at the same ones count, whatever the name and
            the period.

    Raises:
        Refused: The shelf life of these rows is over (code `looks-exhausted`).
    """
    asked = list(dict.fromkeys(map(question_of, earlier)))
    number = asked.index(question) + 1 if question in asked else len(asked) + 1
    budget = LookBudget(alpha=rules.alpha, shelf_life=rules.shelf_life)
    for verdict in earlier:
        same = labels is not None and verdict.labels == labels
        overlap = _overlap((verdict.first_us, verdict.last_us), span_us)
        if verdict.alpha is None or not (same or overlap or rules.looks == "name"):
            continue
        _, budget = budget.spend(question_of(verdict))
        if verdict.passed:
            budget = budget.won(question_of(verdict))
    alpha, _ = budget.spend(question)
    return Look(number, alpha)


def question_of(verdict: GateVerdict) -> str:
    """Return by what a verdict's question is known; the subject where none was recorded."""
    return verdict.question or verdict.subject


def _overlap(one: tuple[int | None, int | None], two: tuple[int | None, int | None]) -> bool:
    """Whether two periods overlap; one that is not known may."""
    (first, last), (begin, end) = one, two
    if first is None or last is None or begin is None or end is None:
        return True
    return first <= end and begin <= last
