import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics import special

scipy_stats = pytest.importorskip("scipy.stats")
shapes = st.floats(min_value=0.1, max_value=1e5)
inner = st.floats(min_value=1e-6, max_value=1 - 1e-6)


@given(a=shapes, b=shapes, p=inner)
def test_beta_tails_agree_with_scipy(a: float, b: float, p: float) -> None:
    x = float(scipy_stats.beta.ppf(p, a, b))
    if not 1e-12 < x < 1 - 1e-12:
        return
    lower, upper = (math.exp(tail) for tail in special.log_beta_tails(x, a, b))
    assert lower == pytest.approx(scipy_stats.beta.cdf(x, a, b), rel=1e-8)
    assert upper == pytest.approx(scipy_stats.beta.sf(x, a, b), rel=1e-8)


@given(a=shapes, b=shapes, p=inner)
def test_beta_quantile_undoes_the_distribution_function(a: float, b: float, p: float) -> None:
    x = special.beta_quantile(p, a, b)
    if 1e-12 < x < 1 - 1e-12:
        assert special.beta_cdf(x, a, b) == pytest.approx(p, rel=1e-6)


def test_beta_tails_stay_accurate_for_billions_of_counts() -> None:
    assert special.beta_quantile(0.975, 1e9, 3e9) == pytest.approx(0.2500134190744692, rel=1e-12)


@given(
    df=st.floats(min_value=0.2, max_value=1e4), exponent=st.floats(min_value=-120, max_value=-0.01)
)
def test_chi_square_tails_agree_with_scipy_far_out(df: float, exponent: float) -> None:
    x = float(scipy_stats.chi2.isf(10**exponent, df))
    if 1e-9 < x < math.inf:
        expected = scipy_stats.chi2.sf(x, df)
        assert special.chi2_tail(x, df) == pytest.approx(expected, rel=1e-8)


@given(p=inner, df=st.floats(min_value=0.5, max_value=1e4))
def test_chi_square_quantile_undoes_the_tail(p: float, df: float) -> None:
    x = special.chi2_quantile(p, df)
    assert 1 - special.chi2_tail(x, df) == pytest.approx(p, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.5, 30.0, 1500.0, 2500.0, 1e6])
@pytest.mark.parametrize("tail", [0.5, 0.05, 1e-4])
def test_non_central_tails_agree_with_scipy(shift: float, tail: float) -> None:
    x = float(scipy_stats.ncx2.isf(tail, 9, shift) if shift else scipy_stats.chi2.isf(tail, 9))
    assert special.noncentral_chi2_tail(x, 9, shift) == pytest.approx(tail, rel=2e-4)


@given(t=st.floats(min_value=-40, max_value=40), df=st.floats(min_value=0.5, max_value=1e7))
def test_student_agrees_with_scipy(t: float, df: float) -> None:
    assert special.student_cdf(t, df) == pytest.approx(scipy_stats.t.cdf(t, df), rel=1e-7)


@given(p=inner, df=st.floats(min_value=1, max_value=1e6))
def test_student_quantile_undoes_the_distribution_function(p: float, df: float) -> None:
    assert special.student_cdf(special.student_quantile(p, df), df) == pytest.approx(p, rel=1e-7)


def test_student_with_infinite_degrees_of_freedom_is_normal() -> None:
    assert special.student_quantile(0.975, math.inf) == pytest.approx(1.959963984540054)
    assert special.student_cdf(-1.0, math.inf) == special.normal_cdf(-1.0)


@given(n=st.integers(min_value=1, max_value=400), share=inner, data=st.data())
def test_binomial_tails_agree_with_scipy(n: int, share: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(min_value=0, max_value=n))
    at_most, at_least = special.binomial_tails(k, n, share)
    assert at_most == pytest.approx(scipy_stats.binom.cdf(k, n, share), rel=1e-7, abs=1e-290)
    assert at_least == pytest.approx(scipy_stats.binom.sf(k - 1, n, share), rel=1e-7, abs=1e-290)


def test_shapes_that_are_not_positive_are_refused() -> None:
    with pytest.raises(Invalid):
        special.beta_cdf(0.5, 0.0, 1.0)
    with pytest.raises(Invalid):
        special.chi2_tail(1.0, 0.0)


def test_the_ends_of_a_distribution_are_exact() -> None:
    assert special.beta_cdf(0.0, 2, 3) == 0.0
    assert special.beta_cdf(1.0, 2, 3) == 1.0
    assert special.beta_quantile(0.0, 2, 3) == 0.0
    assert special.beta_quantile(1.0, 2, 3) == 1.0
    assert special.chi2_tail(0.0, 3) == 1.0
    assert np.isfinite(special.normal_cdf(-38.0))
