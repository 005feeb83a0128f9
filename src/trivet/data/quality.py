"""Checks of data quality, for gates that data must pass before it is published.

This is a numeric module: Polars is loaded with it. Each function makes a `Check`; a gate of them
walks every table once (see `expectations`). Missing values pass all checks but `expect_present`
and `expect_label`. `table` names the table where a data set has several. A finding names at most
100 row numbers (from 0) that do not hold, and never a value.

Example:
    >>> from trivet.core.gates import Gate
    >>> from trivet.data.expectations import judge_tables
    >>> gate = Gate(name="customers", checks=(
    ...     expect_rows(2), expect_unique("id"), expect_range("age", low=0, high=120)))
    >>> frame = pl.DataFrame({"id": [1, 2, 2], "age": [31, None, 44]})
    >>> [finding.summary for finding in judge_tables(gate, {"customers": frame}).reasons]
    ["1 of 3 rows repeat an earlier 'id'"]
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec
import polars as pl

from trivet.core.clock import as_utc, from_micros, to_micros
from trivet.core.errors import Invalid
from trivet.core.gates import Check, Evidence, Finding, Severity
from trivet.data.columns import Kind, kind_of
from trivet.data.expectations import (
    MOST_EXAMPLES,
    Expectation,
    Measured,
    Measures,
    RowRule,
    found,
    table_in,
)

_ANY: frozenset[Kind] = frozenset()
_NUMBERS: frozenset[Kind] = frozenset({"integer", "number"})
_TIMES: frozenset[Kind] = frozenset({"date", "datetime"})
_TEXT: frozenset[Kind] = frozenset({"text"})
_FEW_CLASSES = 20

Bound = float | date | datetime


def expect_columns(
    columns: Mapping[str, Kind] | Sequence[str],
    *,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect these columns, of these kinds when a mapping is given; others may stand beside."""
    kinds: Mapping[str, Kind] = columns if isinstance(columns, Mapping) else {}
    expectation = Expectation(
        table=table,
        columns={name: frozenset({kinds[name]} if name in kinds else ()) for name in columns},
        measures=_nothing,
        decide=lambda _measured, _evidence: found(
            ok=True, summary=f"all {len(columns)} columns are there", value=float(len(columns))
        ),
    )
    return _check(f"columns {', '.join(columns)}", expectation, severity)


def expect_rows(
    least: int,
    *,
    most: int | None = None,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect at least `least` rows, and at most `most`."""
    wanted = f"at least {least}" if most is None else f"{least} to {most}"

    def decide(measured: Measured, _: Evidence) -> Finding:
        rows: int = measured["rows"]
        return found(
            ok=least <= rows and (most is None or rows <= most),
            summary=f"{rows} rows; expected {wanted}",
            value=float(rows),
            threshold=float(least),
            rows=rows,
        )

    expectation = Expectation(
        table=table,
        columns={},
        measures=lambda _frame, _evidence: {"rows": pl.len()},
        decide=decide,
    )
    return _check("rows", expectation, severity)


def expect_present(
    column: str, *, mostly: float = 1.0, table: str | None = None, severity: Severity = "block"
) -> Check:
    """Expect values: null, and NaN in a column of floats, count as missing."""

    def missing(frame: pl.DataFrame, _: Evidence) -> pl.Expr:
        is_null = pl.col(column).is_null()
        is_float = frame.schema[column].is_float()
        return is_null | pl.col(column).is_nan() if is_float else is_null

    rule = RowRule(
        columns={column: _ANY}, fails=missing, words=f"have no {column!r}", mostly=mostly
    )
    return _check(f"{column} present", rule.expectation(table), severity)


def expect_unique(*columns: str, table: str | None = None, severity: Severity = "block") -> Check:
    """Expect that no two rows agree in all of these columns (a key); null agrees with null.

    Raises:
        Invalid: No column is named.
    """
    if not columns:
        raise Invalid(
            "the key has no columns", code="bad-check", hint="Name one: expect_unique('id')."
        )
    key = ", ".join(map(repr, columns))
    rule = RowRule(
        columns=dict.fromkeys(columns, _ANY),
        fails=lambda _frame, _evidence: ~pl.struct(columns).is_first_distinct(),
        words=f"repeat an earlier {key}",
    )
    return _check(f"{'+'.join(columns)} unique", rule.expectation(table), severity)


def expect_no_duplicates(
    *, mostly: float = 1.0, table: str | None = None, severity: Severity = "block"
) -> Check:
    """Expect that no row repeats an earlier one in every column."""
    rule = RowRule(
        columns={},
        fails=lambda _frame, _evidence: ~pl.struct(pl.all()).is_first_distinct(),
        words="repeat an earlier row in every column",
        mostly=mostly,
    )
    return _check("no duplicate rows", rule.expectation(table), severity)


def expect_range(
    column: str,
    *,
    low: Bound | None = None,
    high: Bound | None = None,
    mostly: float = 1.0,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect values from `low` to `high`, both included; NaN is outside.

    Bounds are numbers, dates, or aware datetimes, as the column is; a datetime column without a
    zone is read as UTC.

    Raises:
        Invalid: No bound is given, or they are of two kinds.
    """
    bounds = [bound for bound in (low, high) if bound is not None]
    kinds = {_kinds_of_bound(bound) for bound in bounds}
    if len(kinds) != 1:
        raise Invalid(
            f"the range of {column!r} has {len(bounds)} bounds of {len(kinds)} kinds; "
            "expected low, high or both, of one kind",
            code="bad-check",
            hint="Pass for example low=0, high=120.",
        )

    def outside(frame: pl.DataFrame, _: Evidence) -> pl.Expr:
        value = pl.col(column)
        value = value.dt.epoch("us") if kind_of(frame.schema[column]) in _TIMES else value
        fails = [] if low is None else [value < _literal(low)]
        fails += [] if high is None else [value > _literal(high)]
        fails += [value.is_nan()] if frame.schema[column].is_float() else []
        return pl.any_horizontal(fails)

    words = f"of {column!r} are not {_interval(low, high)}"
    rule = RowRule(
        columns={column: kinds.pop()}, fails=outside, words=words, mostly=mostly, asks=column
    )
    return _check(f"{column} {_interval(low, high)}", rule.expectation(table), severity)


def expect_values(
    column: str,
    values: Collection[str] | Collection[int] | Collection[bool],
    *,
    mostly: float = 1.0,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect one of a set of values: all text, all integers or all booleans.

    Raises:
        Invalid: The set is empty or mixes types.
    """
    kinds_by_type: dict[type, frozenset[Kind]] = {
        str: _TEXT,
        int: _NUMBERS,
        bool: frozenset({"boolean"}),
    }
    types = {type(value) for value in values}
    kinds = kinds_by_type.get(types.pop()) if len(types) == 1 else None
    if kinds is None:
        raise Invalid(
            f"the allowed values of {column!r} are not all text, all integers or all booleans",
            code="bad-check",
            hint="Pass for example values=('yes', 'no').",
        )
    rule = RowRule(
        columns={column: kinds},
        fails=lambda _frame, _evidence: ~pl.col(column).is_in(list(values)),
        words=f"of {column!r} are none of the {len(values)} allowed",
        mostly=mostly,
        asks=column,
    )
    return _check(f"{column} in a set of {len(values)}", rule.expectation(table), severity)


def expect_pattern(
    column: str,
    pattern: str,
    *,
    mostly: float = 1.0,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect text that a regular expression matches as a whole (Rust syntax: no look-around).

    Raises:
        Invalid: The pattern is no regular expression.
    """
    whole = rf"\A(?:{pattern})\z"
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"the pattern for {column!r} is no regular expression that Trivet knows",
            code="bad-check",
            hint="Look-around and back-references are not supported; see the cause.",
        ) from error
    rule = RowRule(
        columns={column: _TEXT},
        fails=lambda _frame, _evidence: ~pl.col(column).str.contains(whole),
        words=f"of {column!r} do not match {pattern}",
        mostly=mostly,
        asks=column,
    )
    return _check(f"{column} matches {pattern}", rule.expectation(table), severity)


def expect_reference(
    column: str,
    other_table: str,
    other_column: str,
    *,
    mostly: float = 1.0,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect every value to exist in a column of another table (referential integrity)."""

    def orphaned(frame: pl.DataFrame, evidence: Evidence) -> pl.Expr:
        other = table_in(evidence, other_table)
        if other.schema.get(other_column) != frame.schema[column]:
            raise Invalid(
                f"{other_table}.{other_column} is missing or of another type than {column!r}",
                code="bad-check",
                hint="Both columns of a reference must have the same type.",
            )
        return ~pl.col(column).is_in(other[other_column].unique().implode())

    rule = RowRule(
        columns={column: _ANY},
        fails=orphaned,
        words=f"of {column!r} do not exist in {other_table}.{other_column}",
        mostly=mostly,
        asks=column,
    )
    return _check(
        f"{column} refers to {other_table}.{other_column}", rule.expectation(table), severity
    )


def expect_fresh(
    column: str,
    within: timedelta,
    *,
    at: datetime | None = None,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect the newest value of a date or datetime column to be at most `within` old.

    Age is counted up to `at`, and without it up to the evidence's `now`. A date counts as its
    first instant, UTC.
    """

    def decide(measured: Measured, evidence: Evidence) -> Finding:
        now: datetime | None = at or evidence.get("now")
        if now is None or measured["newest"] is None:
            missing = "the present is not known" if now is None else f"{column!r} has no values"
            return found(ok=None, summary=f"freshness cannot be decided: {missing}")
        newest = from_micros(measured["newest"])
        age = as_utc(now) - newest
        return found(
            ok=age <= within,
            summary=f"the newest {column!r} is of {newest.isoformat()}, {age} old; "
            f"expected at most {within}",
            value=age.total_seconds(),
            threshold=within.total_seconds(),
        )

    expectation = Expectation(
        table=table,
        columns={column: _TIMES},
        measures=lambda _frame, _evidence: {"newest": pl.col(column).dt.epoch("us").max()},
        decide=decide,
    )
    return _check(f"{column} fresh", expectation, severity)


def expect_label(
    column: str,
    *,
    least_rows: int = 50,
    least_share: float = 0.01,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect a usable target: enough labelled rows, at least two values, no vanishing class.

    `least_share` is the share of labelled rows that the rarest value must have; it is asked only
    of targets with at most 20 values, which are taken as classes.
    """

    def decide(measured: Measured, _: Evidence) -> Finding:
        rows, values = measured["rows"], measured["values"]
        share = (measured["rarest"] or 0) / rows if rows else 0.0
        if rows < least_rows:
            problem = f"{rows} labelled rows; expected at least {least_rows}"
        elif values < 2:
            problem = f"the target {column!r} has one value; expected at least two"
        elif values <= _FEW_CLASSES and share < least_share:
            problem = f"the rarest of {values} classes has a share of {share:.4f}"
        else:
            problem = ""
        return found(
            ok=not problem,
            summary=problem or f"{rows} labelled rows with {values} different values",
            value=share if values <= _FEW_CLASSES else None,
            threshold=least_share,
            rows=rows,
        )

    def measures(frame: pl.DataFrame, _: Evidence) -> Measures:
        label = pl.col(column).drop_nulls()
        label = label.drop_nans() if frame.schema[column].is_float() else label
        return {
            "rows": label.len(),
            "values": label.n_unique(),
            "rarest": label.value_counts(name="rows").struct.field("rows").min(),
        }

    expectation = Expectation(table=table, columns={column: _ANY}, measures=measures, decide=decide)
    return _check(f"{column} usable as target", expectation, severity)


def expect_no_overlap(
    other_table: str,
    columns: Sequence[str] | None = None,
    *,
    table: str | None = None,
    severity: Severity = "block",
) -> Check:
    """Expect no row that also stands in another table: training rows among the held-out, say."""

    def decide(_: Measured, evidence: Evidence) -> Finding:
        here = table_in(evidence, table)
        shared = find_shared_rows(table_in(evidence, other_table), here, columns)
        return found(
            ok=shared.rows == 0,
            summary=f"{shared.rows} of {here.height} rows also stand in {other_table}",
            value=float(shared.rows),
            threshold=0.0,
            rows=here.height,
            evidence={"failed": shared.rows, "examples": list(shared.examples)},
        )

    expectation = Expectation(
        table=table,
        columns=dict.fromkeys(columns or (), _ANY),
        measures=_nothing,
        decide=decide,
    )
    return _check(f"no rows of {other_table}", expectation, severity)


class SharedRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a test table also stand in the training table, and the first of them."""

    rows: int
    examples: tuple[int, ...]
    """Row numbers in the test table, from 0, at most 100."""


def find_shared_rows(
    train: pl.DataFrame, test: pl.DataFrame, columns: Sequence[str] | None = None
) -> SharedRows:
    """Find the rows of `test` that agree with a row of `train` in all `columns` (default: all).

    Raises:
        Invalid: A table lacks a column, or a column's types differ.
    """
    names = list(test.columns if columns is None else columns)
    for name in names:
        if test.schema.get(name) is None or test.schema[name] != train.schema.get(name):
            raise Invalid(
                f"column {name!r} is missing in a table or differs in type",
                code="other-columns",
                hint="Compare tables by columns that both have.",
            )
    shared = (
        test.select(names)
        .with_row_index("__row")
        .join(train.select(names).unique(), on=names, how="semi", nulls_equal=True)
        .get_column("__row")
        .sort()
    )
    return SharedRows(rows=shared.len(), examples=tuple(shared.head(MOST_EXAMPLES).to_list()))


def _check(name: str, expectation: Expectation, severity: Severity) -> Check:
    where = f"{expectation.table}: " if expectation.table else ""
    return Check(name=where + name, ask=expectation, severity=severity)


def _nothing(_frame: pl.DataFrame, _evidence: Evidence) -> Measures:
    return {}


def _kinds_of_bound(bound: Bound) -> frozenset[Kind]:
    if isinstance(bound, datetime):
        return frozenset({"datetime"})
    if isinstance(bound, date):
        return frozenset({"date"})
    return _NUMBERS


def _literal(bound: Bound) -> pl.Expr:
    if isinstance(bound, datetime):
        return pl.lit(to_micros(bound))
    return pl.lit(bound).dt.epoch("us") if isinstance(bound, date) else pl.lit(bound)


def _interval(low: Bound | None, high: Bound | None) -> str:
    if low is None or high is None:
        return f"{high} or less" if low is None else f"{low} or more"
    return f"{low} to {high}"
