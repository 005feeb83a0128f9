"""Distribution tails and quantiles without SciPy, scalar and accurate at any size of count."""

import math
from collections.abc import Callable
from statistics import NormalDist

from trivet.core.errors import Invalid

_STANDARD = NormalDist()
_TINY = 1e-300
_EPSILON = 1e-15
_MOST_TERMS = 1_000_000
_SMALLEST = 1e-290


def normal_cdf(x: float) -> float:
    """P(Z <= x) of the standard normal, with full relative accuracy in the lower tail."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p, for p in (0, 1)."""
    return _STANDARD.inv_cdf(p)


def _stirling_error(n: float) -> float:
    """log(n!) minus Stirling's approximation, for n > 0 (Loader 2000)."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    square = n * n
    return (
        1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square
    ) / n


def _deviance(x: float, mean: float) -> float:
    """Value of x log(x/mean) + mean - x, without cancellation (Loader 2000)."""
    gap = x - mean
    if abs(gap) < 0.1 * (x + mean):
        v = gap / (x + mean)
        total, term, k = gap * v, 2 * x * v, 1
        while True:
            term *= v * v
            following = total + term / (2 * k + 1)
            if following == total:
                return total
            total, k = following, k + 1
    return x * math.log(x / mean) - gap


def _log_beta_scale(x: float, y: float, a: float, b: float) -> float:
    """Logarithm of x^a y^b / B(a, b), by Loader's saddle point: exact for counts of any size."""
    n = a + b
    return (
        _stirling_error(n)
        - _stirling_error(a)
        - _stirling_error(b)
        - _deviance(a, n * x)
        - _deviance(b, n * y)
        + 0.5 * (math.log(a) + math.log(b) - math.log(n) - math.log(2 * math.pi))
    )


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), Lentz's method."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for step in (even, odd):
            d = 1 + step * d
            c = 1 + step / c
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = c if abs(c) > _TINY else _TINY
            change = c * d
            value *= change
        if abs(change - 1) < _EPSILON:
            break
    return value


def _log_rest(log_p: float) -> float:
    """Value of log(1 - exp(log_p)) for log_p <= 0."""
    if log_p >= 0:
        return -math.inf
    return math.log(-math.expm1(log_p)) if log_p > -math.log(2) else math.log1p(-math.exp(log_p))


def log_beta_tails(x: float, a: float, b: float) -> tuple[float, float]:
    """Logarithms of P(X <= x) and P(X > x) for a Beta(a, b) variable.

    The smaller tail keeps its relative accuracy however small it is; a and b may be in the
    billions (the work grows with the root of the larger).

    Args:
        x: Where to cut, in [0, 1].
        a: First shape, > 0.
        b: Second shape, > 0.

    Raises:
        Invalid: A shape is not positive.
    """
    if not (a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b)):
        raise Invalid("a beta distribution needs two finite shapes above 0")
    if x <= 0 or x >= 1:
        return (-math.inf, 0.0) if x <= 0 else (0.0, -math.inf)
    return _log_beta_tails(x, 1 - x, a, b)


def _log_beta_tails(x: float, y: float, a: float, b: float) -> tuple[float, float]:
    """As `log_beta_tails`, for x and y = 1 - x both given without rounding, both above 0."""
    scale = _log_beta_scale(x, y, a, b)
    if x < (a + 1) / (a + b + 2):
        lower = min(0.0, scale - math.log(a) + math.log(_beta_fraction(x, a, b)))
        return lower, _log_rest(lower)
    upper = min(0.0, scale - math.log(b) + math.log(_beta_fraction(y, b, a)))
    return _log_rest(upper), upper


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) of a Beta(a, b) variable (the regularised incomplete beta function)."""
    return math.exp(log_beta_tails(x, a, b)[0])


def turning_point(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Bisect for the point where `is_below` turns from True to False.

    Args:
        is_below: True left of the point and False right of it.
        low: Left of the point.
        high: Right of the point.

    Returns:
        The point to the last bits of a float; an end when `is_below` never turns.
    """
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return 0.5 * (low + high)


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with P(X <= x) = p of a Beta(a, b) variable, for p in [0, 1]."""
    if p <= 0 or p >= 1:
        return 0.0 if p <= 0 else 1.0
    # Far from the mean the tail is below e^-200: a bracket keeps the search short for large counts.
    mean, spread = a / (a + b), math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    low, high = max(0.0, mean - 40 * spread), min(1.0, mean + 40 * spread)
    low = 0.0 if beta_cdf(low, a, b) > p else low
    high = 1.0 if beta_cdf(high, a, b) < p else high
    upper = math.log1p(-p)
    if p < 0.5:
        return turning_point(lambda x: log_beta_tails(x, a, b)[0] < math.log(p), low, high)
    return turning_point(lambda x: log_beta_tails(x, a, b)[1] > upper, low, high)


def binomial_tails(k: float, n: float, p: float) -> tuple[float, float]:
    """P(X <= k) and P(X >= k) of a Binomial(n, p) variable; both contain P(X = k).

    Args:
        k: Successes, 0..n.
        n: Trials, >= 1.
        p: Chance of a success, in [0, 1].
    """
    lower = 1.0 if k >= n else math.exp(log_beta_tails(p, k + 1, n - k)[1])
    upper = 1.0 if k <= 0 else math.exp(log_beta_tails(p, k, n - k + 1)[0])
    return lower, upper


def _gamma_series(x: float, a: float) -> float:
    """Sum of the series of the lower incomplete gamma function (DLMF 8.7.1)."""
    term = total = 1 / a
    for k in range(1, _MOST_TERMS):
        term *= x / (a + k)
        total += term
        if term < total * _EPSILON:
            break
    return total


def _gamma_fraction(x: float, a: float) -> float:
    """Continued fraction of the upper incomplete gamma function (DLMF 8.9.2), Lentz's method."""
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for k in range(1, _MOST_TERMS):
        step = -k * (k - a)
        b += 2
        d = step * d + b
        d = 1 / (d if abs(d) > _TINY else _TINY)
        c = b + step / c
        c = c if abs(c) > _TINY else _TINY
        value *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return value


def log_chi2_tail(x: float, df: float) -> float:
    """Logarithm of P(X > x) for a chi-square variable, any real df > 0."""
    if not df > 0:
        raise Invalid("a chi-square distribution needs more than 0 degrees of freedom")
    if x <= 0:
        return 0.0
    a, z = df / 2, x / 2
    scale = a * math.log(z) - z - math.lgamma(a)
    if a > 16:  # the same by the saddle point: no cancellation of large logarithms
        scale = 0.5 * math.log(a / (2 * math.pi)) - _stirling_error(a) - _deviance(a, z)
    if z < a + 1:
        return _log_rest(min(0.0, scale + math.log(_gamma_series(z, a))))
    return min(0.0, scale + math.log(_gamma_fraction(z, a)))


def chi2_tail(x: float, df: float) -> float:
    """P(X > x) of a chi-square variable with df > 0 degrees of freedom."""
    return math.exp(log_chi2_tail(x, df))


def chi2_quantile(p: float, df: float) -> float:
    """The x with P(X <= x) = p, for p in (0, 1)."""
    high = df + 10 * math.sqrt(2 * df) + 10
    log_upper = math.log1p(-p)
    while log_chi2_tail(high, df) > log_upper:
        high *= 2
    return turning_point(lambda x: log_chi2_tail(x, df) > log_upper, 0.0, high)


def _sankaran_tail(x: float, df: float, shift: float) -> float:
    power = 1 - 2 / 3 * (df + shift) * (df + 3 * shift) / (df + 2 * shift) ** 2
    spread = (df + 2 * shift) / (df + shift) ** 2
    skew = (power - 1) * (1 - 3 * power) * spread
    centre = 1 + power * spread * (power - 1 - 0.5 * (2 - power) * skew)
    scale = power * math.sqrt(2 * spread) * (1 + 0.5 * skew)
    return normal_cdf((centre - (x / (df + shift)) ** power) / scale)


def noncentral_chi2_tail(x: float, df: float, shift: float) -> float:
    """P(X > x) of a non-central chi-square variable.

    A Poisson mixture of central tails, summed around its mode until the terms vanish; beyond a
    shift of 2000 Sankaran's (1963) normal approximation, then good to four digits.

    Args:
        x: Where to cut, >= 0.
        df: Degrees of freedom, > 0.
        shift: Non-centrality, >= 0.
    """
    if shift <= 0:
        return chi2_tail(x, df)
    if shift > 2000:
        return _sankaran_tail(x, df, shift)
    rate = shift / 2
    reach = int(12 * math.sqrt(rate) + 40)
    first = max(0, int(rate) - reach)
    total = 0.0
    # Each tail adds one density term to the one before: P(df + 2) = P(df) + 2 f(df + 2).
    tail = chi2_tail(x, df + 2 * first)
    for k in range(first, int(rate) + reach + 1):
        weight = math.exp(k * math.log(rate) - rate - math.lgamma(k + 1))
        total += weight * tail
        half = df / 2 + k
        tail += math.exp(half * math.log(x / 2) - x / 2 - math.lgamma(half + 1)) if x > 0 else 0.0
    return min(1.0, total)


def student_cdf(t: float, df: float) -> float:
    """P(T <= t) of Student's t with df > 0 degrees of freedom; the normal law for infinite df."""
    if math.isinf(df):
        return normal_cdf(t)
    square = t * t
    if square / (df + square) < _SMALLEST:  # what is added to a half is far below its precision
        return 0.5
    tails = _log_beta_tails(square / (df + square), df / (df + square), 0.5, df / 2)
    tail = 0.5 * math.exp(tails[1])
    return tail if t < 0 else 1 - tail


def student_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p of Student's t, for p in (0, 1) and df > 0 or infinite."""
    if math.isinf(df) or p == 0.5:
        return normal_quantile(p)
    if p > 0.5:
        return -student_quantile(1 - p, df)
    low = -1.0
    while student_cdf(low, df) > p:
        low *= 2
    return turning_point(lambda t: student_cdf(t, df) < p, low, 0.0)
