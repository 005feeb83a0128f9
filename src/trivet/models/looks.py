"""How often held-out rows were looked at, and what the next look is worth.

Every verdict about a model leaks a little of the rows it was reached on to whoever tunes the
next one. Rows that are labelled afresh leak nothing of the old ones, so looks at periods that do
not overlap are counted apart.
"""

from collections.abc import Sequence

import msgspec

from trivet.models.facts import GateVerdict
from trivet.models.rules import Champion
from trivet.statistics.budget import LookBudget


class Look(msgspec.Struct, frozen=True):
    """One look at held-out rows: its number over all of a name's, and its one-sided level."""

    number: int
    alpha: float


def next_look(
    earlier: Sequence[GateVerdict],
    subject: str,
    span_us: tuple[int | None, int | None],
    rules: Champion,
) -> Look:
    """Price the next look. Judging the same package again is the same look.

    Args:
        earlier: The verdicts of this model's name, oldest first.
        subject: Digest of the package to be judged.
        span_us: Event time of the first and last held-out row, where they have one.
        rules: How strict, and what counts.

    Raises:
        Refused: The shelf life of these rows is over (code `looks-exhausted`).
    """
    subjects = list(dict.fromkeys(verdict.subject for verdict in earlier))
    number = subjects.index(subject) + 1 if subject in subjects else len(subjects) + 1
    budget = LookBudget(alpha=rules.alpha, shelf_life=rules.shelf_life)
    for verdict in earlier:
        counts = rules.looks == "name" or _overlap((verdict.first_us, verdict.last_us), span_us)
        if verdict.alpha is not None and counts:
            _, budget = budget.spend(verdict.subject)
    alpha, _ = budget.spend(subject)
    return Look(number, alpha)


def _overlap(one: tuple[int | None, int | None], two: tuple[int | None, int | None]) -> bool:
    """Whether two periods overlap; one that is not known may."""
    (first, last), (begin, end) = one, two
    if first is None or last is None or begin is None or end is None:
        return True
    return first <= end and begin <= last
