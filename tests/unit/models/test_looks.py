import pytest

from trivet.core.errors import Refused
from trivet.models.facts import GateVerdict
from trivet.models.looks import next_look
from trivet.models.rules import Champion

JANUARY, FEBRUARY = (0, 30), (31, 59)


def verdict(
    question: str,
    span: tuple[int | None, int | None] = JANUARY,
    alpha: float | None = 0.025,
    *,
    passed: bool = False,
    labels: str | None = None,
) -> GateVerdict:
    return GateVerdict(
        model="parcels",
        gate="g",
        subject="a package",
        passed=passed,
        findings=(),
        alpha=alpha,
        question=question,
        labels=labels,
        first_us=span[0],
        last_us=span[1],
    )


def test_the_first_look_has_half_of_the_level() -> None:
    look = next_look([], "a", JANUARY, Champion())
    assert (look.number, look.alpha) == (1, 0.025)


def test_each_further_look_at_the_same_rows_is_stricter() -> None:
    levels: list[float] = []
    earlier: list[GateVerdict] = []
    for question in "abcdefgh":
        levels.append(next_look(earlier, question, JANUARY, Champion()).alpha)
        earlier.append(verdict(question))
    assert levels == sorted(levels, reverse=True)
    assert sum(levels) < 0.05


def test_fresh_rows_have_not_been_looked_at() -> None:
    earlier = [verdict("a"), verdict("b")]
    look = next_look(earlier, "c", FEBRUARY, Champion())
    assert (look.number, look.alpha) == (3, 0.025)


def test_rows_that_overlap_have() -> None:
    assert next_look([verdict("a")], "b", (30, 40), Champion()).alpha < 0.025


@pytest.mark.parametrize("span", [(None, None), JANUARY])
def test_rows_without_a_time_may_be_the_same_ones(span: tuple[int | None, int | None]) -> None:
    assert next_look([verdict("a", (None, None))], "b", span, Champion()).alpha < 0.025


def test_by_name_every_look_counts() -> None:
    assert next_look([verdict("a")], "b", FEBRUARY, Champion(looks="name")).alpha < 0.025


def test_asking_the_same_question_again_is_the_same_look() -> None:
    earlier = [verdict("a"), verdict("b")]
    first = next_look([], "a", JANUARY, Champion())
    again = next_look(earlier, "a", JANUARY, Champion())
    assert (again.number, again.alpha) == (first.number, first.alpha)


def test_a_verdict_whose_look_was_not_priced_spends_nothing() -> None:
    assert next_look([verdict("a", alpha=None)], "b", JANUARY, Champion()).alpha == 0.025


def test_the_shelf_life_ends() -> None:
    rules = Champion(shelf_life=2)
    earlier = [verdict("a"), verdict("b")]
    with pytest.raises(Refused) as caught:
        next_look(earlier, "c", JANUARY, rules)
    assert caught.value.code == "looks-exhausted"
    assert next_look(earlier, "c", FEBRUARY, rules).alpha == 0.025


def test_equal_labels_are_the_same_rows_whatever_their_period() -> None:
    earlier = [verdict("a", labels="those")]
    assert next_look(earlier, "b", FEBRUARY, Champion(), "those").alpha < 0.025
    assert next_look(earlier, "b", FEBRUARY, Champion(), "others").alpha == 0.025
    assert next_look([verdict("a")], "b", FEBRUARY, Champion(), None).alpha == 0.025


def test_after_a_yes_the_looks_share_its_level() -> None:
    earlier = [verdict("a", passed=True), verdict("a", passed=True)]
    assert next_look(earlier, "b", JANUARY, Champion()).alpha == 0.025 / 2
    assert next_look(earlier, "a", JANUARY, Champion()).alpha == 0.025
    assert next_look([*earlier, verdict("b")], "c", JANUARY, Champion()).alpha == 0.025 / 6


def test_a_verdict_without_a_question_is_known_by_its_subject() -> None:
    earlier = [verdict("")]
    assert next_look(earlier, "b", JANUARY, Champion()).alpha < 0.025
