import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.models.packaging import InputReference
from trivet.monitoring.drift import distances, slots_of
from trivet.statistics.histogram import (
    category_bins,
    count_categories,
    count_numeric,
    numeric_bins,
)

numbers = st.none() | st.floats(-1e6, 1e6) | st.just(math.nan)


def numeric(sample: list[float]) -> InputReference:
    bins = numeric_bins(np.array(sample))
    counts = tuple(count_numeric(bins, np.array(sample)).tolist())
    return InputReference(name="x", type="number", edges=bins.edges, counts=counts)


def category(sample: list[str]) -> InputReference:
    bins = category_bins(sample)
    counts = tuple(count_categories(bins, sample).tolist())
    return InputReference(name="plan", type="category", values=bins.values, counts=counts)


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=60), st.lists(numbers, max_size=60))
def test_slots_of_numbers_count_as_the_reference_was_counted(
    sample: list[float], values: list[Any]
) -> None:
    reference = numeric(sample)
    slots = slots_of(reference, values)
    read = np.array([math.nan if value is None else value for value in values], np.float64)
    counted = np.bincount(slots, minlength=reference.bins.size)
    assert counted.tolist() == count_numeric(reference.bins, read).tolist()


@given(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=60),
    st.lists(st.none() | st.sampled_from("abcdefg"), max_size=60),
)
def test_slots_of_categories_count_as_the_reference_was_counted(
    sample: list[str], values: list[str | None]
) -> None:
    reference = category(sample)
    counted = np.bincount(slots_of(reference, values), minlength=reference.bins.size)
    assert counted.tolist() == count_categories(reference.bins, values).tolist()


def test_numbers_that_are_categories_are_found_under_their_text() -> None:
    reference = category(["7", "8", "8"])
    assert slots_of(reference, [7, "7"]).tolist() == [slots_of(reference, ["7"]).item()] * 2


def test_equal_shares_are_no_distance_and_strangers_are_far() -> None:
    reference = category(["a", "b", "b", "b"])
    same = slots_of(reference, ["b", "a", "b", "b"] * 5)
    other = slots_of(reference, ["never seen"] * 20)
    assert distances([reference], [same])["plan"] == pytest.approx(0.0, abs=1e-6)
    assert distances([reference], [other])["plan"] == pytest.approx(1.0, abs=1e-6)


def test_an_empty_window_has_no_distance() -> None:
    reference = category(["a", "b"])
    assert distances([reference], [slots_of(reference, [])]) == {}
