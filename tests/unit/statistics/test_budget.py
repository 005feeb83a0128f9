import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid, Refused
from trivet.statistics.budget import LookBudget


@given(st.integers(min_value=1, max_value=200), st.floats(min_value=0.001, max_value=0.5))
def test_however_many_looks_their_levels_add_up_to_less_than_alpha(
    looks: int, alpha: float
) -> None:
    budget = LookBudget(alpha=alpha)
    for k in range(looks):
        level, budget = budget.spend(f"candidate {k}")
        assert level == pytest.approx(alpha / ((k + 1) * (k + 2)))
    assert budget.spent < alpha


def test_judging_the_same_candidate_again_costs_nothing() -> None:
    first, once = LookBudget(shelf_life=1).spend("a")
    again, twice = once.spend("a")
    assert again == first
    assert twice is once


def test_a_holdout_past_its_shelf_life_answers_no_more() -> None:
    _, budget = LookBudget(shelf_life=1).spend("a")
    assert budget.is_exhausted
    assert budget.remaining == 0
    assert budget.next_alpha == 0.0
    with pytest.raises(Refused) as caught:
        budget.spend("b")
    assert caught.value.code == "looks-exhausted"
    assert caught.value.detail["findings"] == ["a"]
    assert "fresh" in caught.value.hint


def test_without_a_shelf_life_looks_never_end() -> None:
    budget = LookBudget()
    assert budget.remaining is None
    assert not budget.is_exhausted


def test_a_budget_survives_storage() -> None:
    _, budget = LookBudget(shelf_life=3).spend("a")
    assert msgspec.json.decode(msgspec.json.encode(budget), type=LookBudget) == budget


def test_a_budget_without_sense_is_refused() -> None:
    with pytest.raises(Invalid):
        LookBudget(alpha=0)
    with pytest.raises(Invalid):
        LookBudget(shelf_life=0)


def chance_of_a_false_pass(budget: LookBudget, looks: int) -> float:
    """The most that any course of answers allows, by a union over all of them.

    Whoever makes candidates chooses at each look: one that is no better, whose yes is false, or
    one that is truly better, whose yes opens a course of its own.
    """
    if looks == 0:
        return 0.0
    name = str(len(budget.looks))
    level, asked = budget.spend(name)
    after_yes = chance_of_a_false_pass(asked.won(name), looks - 1)
    return max(level, after_yes) + chance_of_a_false_pass(asked, looks - 1)


def test_no_course_of_yes_and_no_allows_more_false_passes_than_alpha() -> None:
    assert 0.04 < chance_of_a_false_pass(LookBudget(alpha=0.05), 10) <= 0.05


def test_looks_after_a_yes_share_the_level_it_was_won_at() -> None:
    _, budget = LookBudget().spend("a")
    level, budget = budget.spend("b")
    won = budget.won("b")
    assert won.won("b") == won
    assert won.next_alpha == level / 2
    _, won = won.spend("c")
    assert won.next_alpha == level / 6
    assert won.spend("a")[0] == 0.025
    assert won.spend("b")[0] == level


def test_a_yes_to_what_was_refused_before_takes_the_place_of_the_next_look() -> None:
    _, budget = LookBudget().spend("a")
    _, budget = budget.spend("b")
    third = budget.next_alpha
    assert budget.won("a").next_alpha == third / 2
    with pytest.raises(Invalid, match="no look"):
        budget.won("z")
