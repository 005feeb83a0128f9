import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics.histogram import (
    CategoryBins,
    NumericBins,
    category_bins,
    count_categories,
    count_numeric,
    merge_counts,
    numeric_bins,
)

columns = st.lists(st.one_of(st.floats(width=32), st.just(float("nan"))), max_size=60)
words = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), max_size=60)


@given(columns, columns)
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(
    first: list[float], second: list[float]
) -> None:
    bins = NumericBins((-1.0, 0.0, 2.5))
    whole = count_numeric(bins, first + second)
    assert whole.sum() == len(first) + len(second)
    assert (
        whole.tolist()
        == merge_counts(count_numeric(bins, second), count_numeric(bins, first)).tolist()
    )


@given(words, words)
def test_the_same_holds_for_categories(first: list[str | None], second: list[str | None]) -> None:
    bins = category_bins(["a", "a", "b"])
    whole = count_categories(bins, first + second)
    assert whole.sum() == len(first) + len(second)
    assert (
        whole.tolist()
        == merge_counts(count_categories(bins, second), count_categories(bins, first)).tolist()
    )


@given(
    st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=200),
    st.integers(min_value=2, max_value=20),
)
def test_no_reference_value_falls_outside_its_own_bins(values: list[float], bins: int) -> None:
    made = numeric_bins(values, bins=bins)
    counts = count_numeric(made, values)
    assert counts[[0, 1, -1]].tolist() == [0, 0, 0]
    assert counts.sum() == len(values)
    assert len(made.labels()) == made.size == counts.size


def test_bins_hold_about_equal_shares_of_the_reference_and_the_tails_their_own() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    counts = count_numeric(numeric_bins(values, bins=10), values)
    assert counts[2] == pytest.approx(200, abs=2)
    assert counts[-2] == pytest.approx(200, abs=2)
    assert counts[4:-3] == pytest.approx([2000] * 8, abs=2)


def test_a_column_of_few_values_gets_a_bin_per_value() -> None:
    bins = numeric_bins([0, 1, 1, 5], bins=8)
    assert count_numeric(bins, [0, 1, 1, 5, 5.5, -1, np.nan, np.inf]).tolist() == [
        1, 1, 1, 2, 1, 2,
    ]  # fmt: skip


def test_missing_low_and_high_values_have_slots_of_their_own() -> None:
    bins = NumericBins((0.0, 1.0, 2.0))
    assert count_numeric(bins, [np.nan, -5, -np.inf, 0, 0.5, 1, 2, np.inf]).tolist() == [
        1, 2, 2, 1, 2,
    ]  # fmt: skip
    assert bins.labels() == ("missing", "below 0", "0 to 1", "1 to 2", "above 2")


def test_rare_and_unseen_categories_are_other() -> None:
    bins = category_bins(["b", "a", "a", "c", None, float("nan")], keep=2)
    assert bins.values == ("a", "b")
    seen = ["a", "b", "c", "z", None, float("nan"), float("nan")]
    assert count_categories(bins, seen).tolist() == [3, 2, 1, 1]
    assert count_categories(bins, np.array(["a", "q"])).tolist() == [0, 1, 1, 0]


def test_bins_survive_storage() -> None:
    numeric, words = numeric_bins([1.5, 2.5, 9.0]), category_bins(["x", "y"])
    assert msgspec.json.decode(msgspec.json.encode(numeric), type=NumericBins) == numeric
    assert msgspec.json.decode(msgspec.json.encode(words), type=CategoryBins) == words


def test_what_cannot_be_binned_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        numeric_bins([np.nan])
    assert caught.value.code == "too-few-rows"
    with pytest.raises(Invalid, match="numbers"):
        count_numeric(NumericBins((0.0, 1.0)), ["x"])
    with pytest.raises(Invalid, match="rising"):
        NumericBins((1.0, 1.0))
    with pytest.raises(Invalid, match="repeat"):
        CategoryBins(("a", "a"))
    with pytest.raises(Invalid, match="same bins"):
        merge_counts([1, 2], [1])
