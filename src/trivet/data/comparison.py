"""How two profiles differ, column by column: what people look at before they trust new data.

Distances here describe; they are no tests. Whether a shift is more than chance is monitoring's
question.
"""

from bisect import bisect_right

import msgspec

from trivet.data.profile import LEVELS, ColumnProfile, Profile


class ColumnComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One column that both tables have."""

    name: str
    type_before: str
    type_after: str
    missing_before: float
    """Share of rows without a value, 0 to 1; likewise `missing_after`."""
    missing_after: float
    mean_before: float | None = None
    mean_after: float | None = None
    distance: float | None = None
    """0 (alike) to 1 (nothing in common); None when the kinds differ or no value is present.

    Numbers and times: the largest difference of the distribution functions (Kolmogorov and
    Smirnov), read from the quantiles. Text: half the summed differences of the listed values'
    shares (total variation), where values that neither profile lists count as one.
    """
    appeared: tuple[str, ...] = ()
    """Values listed after that did not exist before; known only where all of `before` is listed."""
    vanished: tuple[str, ...] = ()
    """Values listed before that no longer exist; known only where all of `after` is listed."""


class ProfileComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two profiles: what came, what went, and how the rest moved (in the order of `before`)."""

    rows_before: int
    rows_after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    columns: tuple[ColumnComparison, ...]

    @property
    def is_same_shape(self) -> bool:
        """Whether both have the same columns with the same types."""
        same_types = all(column.type_before == column.type_after for column in self.columns)
        return same_types and not self.added and not self.removed


def compare_profiles(before: Profile, after: Profile) -> ProfileComparison:
    """Compare two profiles by column name."""
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    return ProfileComparison(
        rows_before=before.rows,
        rows_after=after.rows,
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        columns=tuple(_compare(old[name], new[name]) for name in old if name in new),
    )


def _compare(before: ColumnProfile, after: ColumnProfile) -> ColumnComparison:
    listed_before = {item.value for item in before.top}
    listed_after = {item.value for item in after.top}
    return ColumnComparison(
        name=before.name,
        type_before=before.type,
        type_after=after.type,
        missing_before=before.missing_share,
        missing_after=after.missing_share,
        mean_before=before.mean,
        mean_after=after.mean,
        distance=_distance(before, after),
        appeared=tuple(sorted(listed_after - listed_before)) if _is_listed(before) else (),
        vanished=tuple(sorted(listed_before - listed_after)) if _is_listed(after) else (),
    )


def _is_listed(column: ColumnProfile) -> bool:
    return column.kind == "text" and sum(item.rows for item in column.top) == column.present > 0


def _distance(before: ColumnProfile, after: ColumnProfile) -> float | None:
    if not before.present or not after.present:
        return None
    if before.kind == after.kind == "text":
        return _total_variation(before, after)
    if before.kind == after.kind == "boolean":
        return abs((before.mean or 0.0) - (after.mean or 0.0))
    if before.quantiles and after.quantiles and _unit(before) == _unit(after):
        return _largest_gap(before, after)
    return None


def _unit(column: ColumnProfile) -> str:
    return {"integer": "number", "date": "datetime"}.get(column.kind, column.kind)


def _total_variation(before: ColumnProfile, after: ColumnProfile) -> float:
    shares = [
        {item.value: item.rows / column.present for item in column.top}
        for column in (before, after)
    ]
    values = sorted(shares[0].keys() | shares[1].keys())
    gaps = [shares[0].get(value, 0.0) - shares[1].get(value, 0.0) for value in values]
    rest = -sum(gaps)  # both sum to one, so the unlisted share moved by what the listed did not
    return min(1.0, (sum(map(abs, gaps)) + abs(rest)) / 2)


def _largest_gap(before: ColumnProfile, after: ColumnProfile) -> float:
    knots = {value for column in (before, after) for value in _knots(column)[0]}
    return max(abs(_share_up_to(before, value) - _share_up_to(after, value)) for value in knots)


def _knots(column: ColumnProfile) -> tuple[list[float], list[float]]:
    low = column.quantiles[0] if column.low is None else column.low
    high = column.quantiles[-1] if column.high is None else column.high
    return [low, *column.quantiles, high], [0.0, *LEVELS, 1.0]


def _share_up_to(column: ColumnProfile, value: float) -> float:
    """Read the distribution function between its known quantiles, along straight lines."""
    values, levels = _knots(column)
    place = bisect_right(values, value)
    if place in {0, len(values)}:
        return 0.0 if place == 0 else 1.0
    left, right = values[place - 1], values[place]
    part = (value - left) / (right - left)
    return levels[place - 1] + part * (levels[place] - levels[place - 1])
