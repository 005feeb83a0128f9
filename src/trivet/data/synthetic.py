"""Made-up rows that look like a table: its columns' distributions, joined by a Gaussian copula.

This is a numeric module: Polars and NumPy are loaded with it.

What it keeps: each column's distribution and granularity, which values are missing together, and
the rank correlation of each pair of columns. What it loses: everything else, such as interactions
of three columns and relations that rise and fall; a model trained on such rows is worse than one
trained on the real ones. It gives **no privacy guarantee**: single values are copied from the
table, and only text that is nearly unique (names, keys) is replaced.

Method: a Gaussian copula (Nelsen, An Introduction to Copulas, 2006) over the columns and one more
dimension for each pattern of missing values; correlations of normal scores, ties in the middle of
their interval, over the rows in which both are present.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.core.errors import Invalid
from trivet.data.columns import kind_of

_Floats = npt.NDArray[np.float64]

_MOST_ROWS_READ: Final = 50_000
_MOST_ROWS_MADE: Final = 10_000_000
_LEAST_EIGENVALUE: Final = 1e-6
_NO_SCALE: Final = 1e-9
_KEY_SHARE: Final = 0.5
_FEW_VALUES: Final = 50
_MOST_DECIMALS: Final = 6

_LEVELS: Final = np.linspace(0, 1, 8193)[1:-1]
_SCORES: Final = np.array([NormalDist().inv_cdf(level) for level in _LEVELS])


@dataclass(frozen=True, kw_only=True)
class _Margin:
    """One column: present values in order, and what becomes of a level between 0 and 1."""

    name: str
    dtype: pl.DataType
    values: pl.Series
    """The values that can be drawn, ascending, repeated as often as they occur."""
    gap: int | None
    """The dimension that decides whether a value is missing."""
    missing: float
    """Share of rows without a value: levels of `gap` below it."""
    decimals: int | None
    """Numbers are interpolated between neighbours and rounded so; None draws a value as it is."""
    is_key: bool
    """Nearly unique text: replaced by counted names."""


@dataclass(frozen=True, kw_only=True)
class Copula:
    """A fitted table: margins, and the correlation of the dimensions: columns, then gaps."""

    margins: tuple[_Margin, ...]
    correlation: _Floats

    def sample(self, rows: int, *, seed: int = 0) -> pl.DataFrame:
        """Make `rows` rows (1 to 10 million) with the table's columns and types.

        The same seed gives the same rows.

        Raises:
            Invalid: The number of rows is out of range.
        """
        if not 1 <= rows <= _MOST_ROWS_MADE:
            raise Invalid(
                f"rows must lie between 1 and {_MOST_ROWS_MADE}",
                code="bad-rows",
                hint="Pass for example rows=1000.",
            )
        random = np.random.default_rng(seed)
        factor = np.linalg.cholesky(self.correlation)
        scores = random.standard_normal((rows, len(factor))) @ factor.T
        levels = np.interp(scores, _SCORES, _LEVELS)
        return pl.DataFrame(
            [_draw(margin, levels, place) for place, margin in enumerate(self.margins)]
        )


def fit_copula(frame: pl.DataFrame, *, seed: int = 0) -> Copula:
    """Fit a table of numbers, booleans, text, dates and datetimes; read at most 50,000 rows.

    Raises:
        Invalid: The table has fewer than two rows, or a column of another kind.
    """
    if frame.height < 2 or not frame.width:
        raise Invalid(
            f"the table has {frame.height} rows and {frame.width} columns; "
            "expected at least two rows and a column",
            code="too-few-rows",
            hint="Fit a larger table.",
        )
    odd = [name for name, dtype in frame.schema.items() if kind_of(dtype) == "other"]
    if odd:
        raise Invalid(
            f"columns {', '.join(map(repr, odd))} are lists, structs or durations; expected "
            "numbers, booleans, text, dates or datetimes",
            code="bad-column",
            hint="Drop them, or turn them into plain columns first.",
        )
    if frame.height > _MOST_ROWS_READ:
        frame = frame.sample(_MOST_ROWS_READ, seed=seed)
    columns = [_cleaned(column) for column in frame.get_columns()]
    gaps: dict[bytes, int] = {}
    masks: list[_Floats] = []
    margins: list[_Margin] = []
    for column in columns:
        mask = column.is_null().to_numpy().astype(np.float64)
        gap = None
        if mask.any():
            gap = gaps.setdefault(mask.tobytes(), len(columns) + len(gaps))
            masks += [mask] if gap == len(columns) + len(masks) else []
        margins.append(_fit_margin(column, gap))
    scores = [_normal_scores(column) for column in columns]
    scores += [_normal_scores(pl.Series(1 - mask)) for mask in masks]
    return Copula(margins=tuple(margins), correlation=_correlate(np.column_stack(scores)))


def _cleaned(column: pl.Series) -> pl.Series:
    """Make what is no number of a float column missing."""
    return column.set(~column.is_finite(), None) if column.dtype.is_float() else column


def _normal_scores(column: pl.Series) -> _Floats:
    """Turn values into the normal scores of their ranks; NaN where a value is missing."""
    ranks = column.rank("average").cast(pl.Float64)
    levels = (ranks - 0.5) / max(column.len() - column.null_count(), 1)
    scores = np.interp(levels.fill_null(0.5).to_numpy(), _LEVELS, _SCORES)
    return np.where(column.is_null().to_numpy(), np.nan, scores)


def _correlate(scores: _Floats) -> _Floats:
    """Correlate columns over the rows in which both have a score; the result can be factored."""
    present = np.isfinite(scores).astype(np.float64)
    filled = np.nan_to_num(scores)
    rows = np.maximum(present.T @ present, 1)
    mean = filled.T @ present / rows
    variance = (filled * filled).T @ present / rows - mean * mean
    covariance = filled.T @ filled / rows - mean * mean.T
    scale = np.sqrt(np.maximum(variance * variance.T, 0))
    related = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > _NO_SCALE)
    np.fill_diagonal(related, 1)
    # Pairs over different rows need not fit together: the nearest matrix that does is close by.
    values, vectors = np.linalg.eigh((related + related.T) / 2)
    positive = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    size = np.sqrt(np.diag(positive))
    return positive / np.outer(size, size)


def _fit_margin(column: pl.Series, gap: int | None) -> _Margin:
    present = column.drop_nulls().sort()
    distinct = present.n_unique()
    kind = kind_of(column.dtype)
    is_many = distinct > _FEW_VALUES
    return _Margin(
        name=column.name,
        dtype=column.dtype,
        values=present,
        gap=gap,
        missing=column.null_count() / column.len(),
        decimals=_decimals(present) if is_many and kind in {"integer", "number"} else None,
        is_key=kind == "text" and is_many and distinct > _KEY_SHARE * present.len(),
    )


def _decimals(values: pl.Series) -> int:
    """Find how finely numbers are given: noise beyond that would betray the made-up rows."""
    numbers = values.cast(pl.Float64)
    for decimals in range(_MOST_DECIMALS):
        if (numbers.round(decimals) == numbers).all():
            return decimals
    return _MOST_DECIMALS


def _draw(margin: _Margin, levels: _Floats, place: int) -> pl.Series:
    rows = len(levels)
    if margin.values.is_empty():
        return pl.Series(margin.name, [None] * rows, dtype=margin.dtype)
    if margin.is_key:
        drawn = pl.Series([f"{margin.name}-{row:06d}" for row in range(1, rows + 1)])
    else:
        drawn = _quantiles(margin, levels[:, place])
    if margin.gap is not None:
        drawn = drawn.set(pl.Series(levels[:, margin.gap] < margin.missing), None)
    return drawn.cast(margin.dtype).alias(margin.name)


def _quantiles(margin: _Margin, share: _Floats) -> pl.Series:
    """Read the inverse distribution function at `share`: a step, or along straight lines."""
    count = margin.values.len()
    if margin.decimals is None:
        places = np.minimum((share * count).astype(np.int64), count - 1)
        return margin.values.gather(pl.Series(places))
    numbers = margin.values.cast(pl.Float64).to_numpy()
    between = np.interp(share * (count - 1), np.arange(count), numbers)
    return pl.Series(np.round(between, margin.decimals))
