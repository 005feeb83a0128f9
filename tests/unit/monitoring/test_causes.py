import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.models.facts import Input
from trivet.monitoring.causes import bias_cause, shift_causes, slice_causes

ROWS = 2000


def shifted(seed: int, inputs: int, moved: int) -> tuple[list[object], ...]:
    """Rows of several inputs with five slots each; one moved to a slot where the loss is high."""
    random = np.random.default_rng(seed)
    names = [Input(name=f"x{n}", type="number") for n in range(inputs)]
    reference = [np.full(5, 200, np.int64) for _ in range(inputs)]
    slots = [random.integers(0, 5, ROWS) for _ in range(inputs)]
    slots[moved] = random.choice(5, ROWS, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    losses = 0.1 * (slots[moved] == 0) + random.normal(0, 0.02, ROWS)
    labels = [[f"slot {k}" for k in range(5)] for _ in range(inputs)]
    return names, slots, reference, losses, labels  # pyright: ignore[reportReturnType]  # a tuple of columns


@given(seed=st.integers(0, 1000), inputs=st.integers(2, 8), moved=st.integers(0, 7))
def test_the_input_whose_shift_costs_most_comes_first(seed: int, inputs: int, moved: int) -> None:
    moved %= inputs
    first, *rest = shift_causes(*shifted(seed, inputs, moved))  # pyright: ignore[reportArgumentType]
    assert first.name == f"x{moved}"
    # 60 % instead of 20 % of the rows bear 0.1 more: 0.04.
    assert first.impact == pytest.approx(0.04, abs=0.006)
    assert re.fullmatch(rf"x{moved}: slot 0 is \d+% of rows, 20% at training", first.summary)
    assert all(cause.impact < 0.006 for cause in rest)


def test_a_shift_that_costs_nothing_is_no_cause() -> None:
    names, slots, reference, losses, labels = shifted(1, 3, 1)
    flat = np.zeros_like(losses)
    assert shift_causes(names, slots, reference, flat, labels) == []  # pyright: ignore[reportArgumentType]


def test_few_rows_explain_nothing() -> None:
    names, slots, reference, losses, labels = shifted(1, 3, 1)
    few = [slot[:20] for slot in slots]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]
    assert shift_causes(names, few, reference, losses[:20], labels) == []  # pyright: ignore[reportArgumentType]
    assert bias_cause(np.zeros(20), np.ones(20)) == []


@pytest.mark.parametrize(("shift", "word"), [(0.2, "high"), (-0.2, "low")])
def test_predictions_that_lie_too_high_or_low_say_so(shift: float, word: str) -> None:
    random = np.random.default_rng(3)
    truth = (random.random(ROWS) < 0.5).astype(float)
    (cause,) = bias_cause(truth, np.full(ROWS, truth.mean() + shift))
    assert f"too {word}" in cause.summary
    assert cause.impact == pytest.approx(0.04, abs=0.002)  # the bias squared


def test_predictions_on_the_right_level_are_no_cause() -> None:
    truth = (np.arange(ROWS) % 2).astype(float)
    assert bias_cause(truth, np.full(ROWS, 0.5)) == []


def test_the_category_that_carries_the_rise_is_named() -> None:
    random = np.random.default_rng(4)
    depot = random.choice(list("abcd"), ROWS)
    losses = 0.02 + 0.3 * (depot == "c") + random.normal(0, 0.05, ROWS)
    inputs = [Input(name="depot", type="category"), Input(name="weight", type="number")]
    (cause,) = slice_causes(inputs, [depot.tolist(), [1.0] * ROWS], losses, level=0.02)
    assert cause.name == "depot=c"
    assert cause.impact == pytest.approx(0.3 * (depot == "c").mean(), abs=0.01)
    assert "+0.020 before" in cause.summary


def test_a_missing_category_is_a_category_like_any_other() -> None:
    values = [None, "a"] * 500
    losses = np.array([0.5, 0.1] * 500) + np.random.default_rng(1).normal(0, 0.01, 1000)
    (cause,) = slice_causes([Input(name="plan", type="category")], [values], losses, level=0.1)
    assert cause.name == "plan=None"
