"""How data checks are computed: each says what it must measure, and one query measures them all.

This is a numeric module: Polars is loaded with it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import polars as pl

from trivet.core.errors import Invalid, TrivetError
from trivet.core.gates import Evidence, Finding, Gate, Verdict
from trivet.data.columns import Kind, kind_of
from trivet.data.naming import suggest
from trivet.data.profile import Profile
from trivet.data.sources import as_frame

MOST_EXAMPLES: Final = 100
"""At most so many row numbers (from 0) are named as examples of a failure."""

Measured = Mapping[str, Any]
Measures = Mapping[str, pl.Expr]


@dataclass(frozen=True, eq=False, kw_only=True)
class Expectation:
    """A question about one table: the `ask` of a `Check`.

    Asked alone it measures for itself; judged by `judge_tables` it finds its measurements made.
    """

    table: str | None
    """The table's name; None where the evidence has only one."""
    columns: Mapping[str, frozenset[Kind]]
    """The columns it reads, and the kinds they may have (an empty set: any)."""
    measures: Callable[[pl.DataFrame, Evidence], Measures]
    """Expressions with one value each, by name."""
    decide: Callable[[Measured, Evidence], Finding]

    def __call__(self, evidence: Evidence) -> Finding:
        """Answer from the evidence (`tables` or `table`; `measured` when it was made before)."""
        frame = table_in(evidence, self.table)
        problem = self.problem_with(frame)
        if problem:
            return found(ok=False, summary=problem)
        made = cast("Mapping[Expectation, Measured]", evidence.get("measured", {}))
        if self not in made:
            return self.decide(_query(frame, self.measures(frame, evidence)), evidence)
        return self.decide(made[self], evidence)

    def problem_with(self, frame: pl.DataFrame) -> str:
        """Say what keeps the table from being asked; empty when nothing does."""
        for name, kinds in self.columns.items():
            if name not in frame.columns:
                return f"there is no column {name!r}. {suggest(name, frame.columns)}"
            kind = kind_of(frame.schema[name])
            if kinds and kind not in kinds:
                return f"column {name!r} is of kind {kind}; expected {' or '.join(sorted(kinds))}"
        return ""


def judge_tables(
    gate: Gate,
    tables: Mapping[str, pl.DataFrame],
    *,
    profiles: Mapping[str, Profile] | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Judge tables by a gate, walking each table once for all expectations in it.

    The evidence that checks see: `tables` and `profiles` by name, `now`, and, where there is only
    one table, `table` and `profile`.
    """
    profiles = profiles or {}
    evidence: dict[str, Any] = {"tables": dict(tables), "profiles": dict(profiles), "now": now}
    if len(tables) == 1:
        evidence["table"] = next(iter(tables.values()))
        evidence["profile"] = next(iter(profiles.values()), None)
    questions = [check.ask for check in gate.checks]
    expectations = [ask for ask in questions if isinstance(ask, Expectation)]
    return gate.judge({**evidence, "measured": measure(expectations, evidence)})


def measure(expectations: Iterable[Expectation], evidence: Evidence) -> dict[Expectation, Measured]:
    """Make all measurements with one query per table.

    An expectation that cannot be measured (a column is missing, say) is left out; it says why
    when it is asked.
    """
    asked = list(expectations)
    measured: dict[Expectation, dict[str, Any]] = {}
    plans: dict[str | None, dict[str, pl.Expr]] = {}
    for place, expectation in enumerate(asked):
        measures = _measures_of(expectation, evidence)
        if measures is not None:
            measured[expectation] = {}
            plan = plans.setdefault(expectation.table, {})
            plan.update({f"{place}.{name}": measures[name] for name in measures})
    for table, plan in plans.items():
        try:
            row = _query(table_in(evidence, table), plan)
        except Invalid:
            # One of them cannot be computed: each measures for itself then, and that one says so.
            measured = {each: made for each, made in measured.items() if each.table != table}
            continue
        for key, value in row.items():
            place, _, name = key.partition(".")
            measured[asked[int(place)]][name] = value
    return dict(measured)


def table_in(evidence: Evidence, name: str | None) -> pl.DataFrame:
    """Take a table out of the evidence; without a name, the only one.

    Raises:
        Invalid: It is not there, or no name was given and there are several.
    """
    tables: Mapping[str, Any] = evidence.get("tables", {})
    if name is None and "table" in evidence:
        return as_frame("table", evidence["table"])
    if name is None and len(tables) == 1:
        return as_frame("table", next(iter(tables.values())))
    if name is not None and name in tables:
        return as_frame(name, tables[name])
    raise Invalid(
        "the check names no table although there are several"
        if name is None
        else f"there is no table {name!r} to check",
        code="which-table",
        hint=f"Pass table= to the check. {suggest(name or '', tables)}",
    )


def found(
    *,
    ok: bool | None,
    summary: str,
    value: float | None = None,
    threshold: float | None = None,
    rows: int | None = None,
    evidence: dict[str, Any] | None = None,
) -> Finding:
    """Make a finding; the gate puts in the check's name and severity."""
    return Finding(
        check="",
        ok=ok,
        summary=summary,
        value=value,
        threshold=threshold,
        rows=rows,
        evidence=evidence or {},
    )


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A condition on each row, of which a share must hold."""

    columns: Mapping[str, frozenset[Kind]]
    fails: Callable[[pl.DataFrame, Evidence], pl.Expr]
    """True for rows that do not hold; null counts as holding."""
    words: str
    """What is wrong with them: the end of a sentence that begins with their number."""
    mostly: float = 1.0
    """The share that must hold, 0 to 1."""
    asks: str | None = None
    """The column whose present values are asked; None asks every row."""

    def __post_init__(self) -> None:
        if not 0 <= self.mostly <= 1:
            raise Invalid(
                "mostly lies outside 0 to 1; expected a share",
                code="bad-check",
                hint="Pass for example mostly=0.99 to tolerate one value in a hundred.",
            )

    def expectation(self, table: str | None) -> Expectation:
        """Make the expectation that counts the rows which do not hold."""
        return Expectation(
            table=table, columns=self.columns, measures=self._measures, decide=self._decide
        )

    def _measures(self, frame: pl.DataFrame, evidence: Evidence) -> Measures:
        fails = self.fails(frame, evidence).fill_null(value=False)
        return {
            "asked": pl.len() if self.asks is None else pl.col(self.asks).count(),
            "failed": fails.sum(),
            "examples": fails.arg_true().head(MOST_EXAMPLES).implode(),
        }

    def _decide(self, measured: Measured, _: Evidence) -> Finding:
        asked: int = measured["asked"]
        failed: int = measured["failed"]
        share = 1 - failed / asked if asked else 1.0
        unit = "rows" if self.asks is None else "values"
        return found(
            ok=share >= self.mostly,
            summary=f"{failed} of {asked} {unit} {self.words}",
            value=share,
            threshold=self.mostly,
            rows=asked,
            evidence={"failed": failed, "examples": measured["examples"]} if failed else {},
        )


def _measures_of(expectation: Expectation, evidence: Evidence) -> Measures | None:
    try:
        frame = table_in(evidence, expectation.table)
        return None if expectation.problem_with(frame) else expectation.measures(frame, evidence)
    except TrivetError:
        return None


def _query(frame: pl.DataFrame, plan: Measures) -> dict[str, Any]:
    if not plan:
        return {}
    expressions = [expression.alias(key) for key, expression in plan.items()]
    try:
        return frame.lazy().select(expressions).collect().row(0, named=True)
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"the check cannot be computed on this table: {type(error).__name__}",
            code="bad-check",
            hint="Does the column hold lists or structs? Check plain columns.",
        ) from error
