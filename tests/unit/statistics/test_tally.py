import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics.sequential import log_e_above, log_e_below
from trivet.statistics.tally import (
    Tally,
    empty_tally,
    merge_tallies,
    paired_tally,
    tally,
    tally_sum,
    thin_tally,
)

losses = st.lists(st.floats(min_value=0, max_value=1), max_size=60)


@given(losses)
def test_count_and_sum_are_kept(values: list[float]) -> None:
    seen = tally(values, low=0, high=1, cells=16)
    assert seen.n == len(values)
    assert seen.n * seen.mean == pytest.approx(
        sum(values) if values else 0.0, abs=len(values) * 2**-24
    )


@given(losses, losses, losses)
def test_merging_is_exact_in_any_order_and_grouping(
    first: list[float], second: list[float], third: list[float]
) -> None:
    a, b, c = (tally(part, low=0, high=1) for part in (first, second, third))
    whole = tally(first + second + third, low=0, high=1)
    assert merge_tallies(a, b, c) == whole
    assert merge_tallies(c, merge_tallies(b, a)) == whole
    assert merge_tallies(whole, empty_tally(low=0, high=1)) == whole


@given(
    values=st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=40),
    null=st.floats(min_value=0.05, max_value=0.95),
    cells=st.sampled_from([1, 7, 64]),
)
def test_a_coarser_tally_never_has_more_evidence(
    values: list[float], null: float, cells: int
) -> None:
    fine = tally(values, low=0, high=1, cells=cells * 64)
    coarse = tally(values, low=0, high=1, cells=cells)
    slack = 1e-3  # values are read to 2^-20 of a cell
    assert log_e_above(coarse, null) <= log_e_above(fine, null) + slack
    assert log_e_below(coarse, null) <= log_e_below(fine, null) + slack


def test_a_sum_is_the_same_as_counting_zeros_and_ones() -> None:
    assert tally_sum(10, 3, low=0, high=1) == tally([1] * 3 + [0] * 7, low=0, high=1, cells=1)


def test_the_ends_of_the_range_lie_on_the_grid() -> None:
    seen = tally([-2.0, 3.0], low=-2, high=3, cells=5)
    assert seen.mass == (1, 0, 0, 0, 0, 1)
    assert seen.points.tolist() == [-2, -1, 0, 1, 2, 3]


def test_mean_and_variance_are_those_of_the_values() -> None:
    values = np.random.default_rng(1).beta(2, 5, 5000)
    seen = tally(values, low=0, high=1, cells=256)
    assert seen.mean == pytest.approx(values.mean(), abs=1e-8)
    assert values.var() <= seen.variance <= values.var() + (1 / 256) ** 2 / 4


def test_thinning_divides_the_count_and_keeps_the_mean() -> None:
    whole = tally([0.2, 0.4, 0.9], low=0, high=1)
    thin = thin_tally(whole, 4)
    assert thin.n == pytest.approx(0.75)
    assert thin.mean == pytest.approx(whole.mean)


def test_pairs_count_the_gain_of_the_candidate() -> None:
    seen = paired_tally([1, 1, 0, 0], [0, 1, 0, 1], loss_range=1, cells=2)
    assert seen.mass == (1, 2, 1)
    assert paired_tally([], [], loss_range=1).n == 0


def test_a_tally_survives_storage() -> None:
    seen = tally([0.1, 0.77], low=0, high=1)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Tally) == seen


def test_values_outside_the_range_and_unlike_grids_are_refused() -> None:
    with pytest.raises(Invalid, match="leave the range"):
        tally([1.2], low=0, high=1)
    with pytest.raises(Invalid, match="must share"):
        merge_tallies(empty_tally(low=0, high=1), empty_tally(low=0, high=2))
    with pytest.raises(Invalid, match="total"):
        tally_sum(3, 4, low=0, high=1)
    with pytest.raises(Invalid):
        thin_tally(empty_tally(low=0, high=1), 0.5)
    with pytest.raises(Invalid, match="even"):
        paired_tally([1], [0], loss_range=1, cells=3)
