import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.demo.evidence import Gain, Raised
from trivet.demo.words import finding, without_cause
from trivet.drawing.words import digits_for, number, readable, signed


def test_no_end_of_an_interval_hides_in_a_zero() -> None:
    gain = Gain(
        brier=0.0011,
        brier_low=0.00001,
        brier_high=0.0022,
        auc=0.006,
        auc_low=0.001,
        auc_high=0.01,
        flights=7459,
    )
    assert "lower by 0.00110 (0.00001 to 0.00220) and its AUC higher by 0.006" in finding(gain)


@given(st.lists(st.floats(-1, 1), max_size=3), st.integers(0, 4))
def test_decimals_are_never_fewer_than_asked_for_and_never_endless(
    values: list[float], digits: int
) -> None:
    assert digits <= digits_for(values, digits) <= digits + 4


@pytest.mark.parametrize(
    ("value", "digits", "plain", "with_sign"),
    [
        (1234.5, 1, "1,234.5", "+1,234.5"),
        (-0.0021, 4, "\u22120.0021", "\u22120.0021"),
        (-0.00001, 3, "0.000", "0.000"),
        (0.0, 2, "0.00", "0.00"),
        (math.nan, 2, "–", "–"),
        (math.inf, 2, "–", "–"),
        (None, 2, "–", "–"),
    ],
)
def test_numbers_are_written_for_people(
    value: float | None, digits: int, plain: str, with_sign: str
) -> None:
    assert number(value, digits) == plain
    assert signed(value, digits) == with_sign


@given(st.text())
def test_what_is_readable_can_be_written_and_printed(text: str) -> None:
    shown = readable(text)
    shown.encode()
    assert len(shown) == len(text)
    assert not set(shown) & {"\x1b", "\x07", "\r", "\u202e", "\x9b"}
    assert readable(shown) == shown


def test_an_alert_s_first_cause_is_told_once() -> None:
    alert = Raised(event_time="", since=None, summary="got worse; snow", causes=("snow", "wind"))
    assert without_cause(alert) == "got worse"
