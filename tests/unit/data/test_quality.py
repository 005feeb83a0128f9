"""Checks find exactly the rows that counting by hand finds, and one query serves them all."""

import math
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.core.gates import Check, Finding, Gate, check
from trivet.data.expectations import RowRule, judge_tables
from trivet.data.quality import (
    expect_columns,
    expect_fresh,
    expect_label,
    expect_no_duplicates,
    expect_no_overlap,
    expect_pattern,
    expect_present,
    expect_range,
    expect_reference,
    expect_rows,
    expect_unique,
    expect_values,
    find_shared_rows,
)

NOON = datetime(2020, 1, 2, 12, tzinfo=UTC)

cells = st.fixed_dictionaries(
    {
        "x": st.none() | st.floats(-10, 10) | st.just(math.nan),
        "n": st.none() | st.integers(-3, 3),
        "w": st.none() | st.text("ab1", max_size=3),
    }
)
tables = st.lists(cells, max_size=150)


def as_table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"x": pl.Float64, "n": pl.Int64, "w": pl.String})


def ask(check: Check, frame: Any, **others: Any) -> Finding:
    tables = {"table": frame, **others} if others else {"only": frame}
    (finding,) = judge_tables(Gate(name="g", checks=(check,)), tables, now=NOON).findings
    assert msgspec.json.encode(finding)
    return finding


def repeats(keys: list[Any]) -> list[int]:
    seen: set[Any] = set()
    found: list[int] = []
    for place, key in enumerate(keys):
        if key in seen:
            found.append(place)
        seen.add(key)
    return found


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    # NaN repeats NaN, and -0.0 is 0.0.
    is_nan = row["x"] is not None and math.isnan(row["x"])
    return ("nan" if is_nan else row["x"], row["n"], row["w"])


@given(tables)
def test_each_check_counts_as_by_hand(rows: list[dict[str, Any]]) -> None:
    frame = as_table(rows)

    def failing(condition: Any) -> list[int]:
        return [place for place, row in enumerate(rows) if condition(row)]

    def is_nan(value: float | None) -> bool:
        return value is not None and math.isnan(value)

    by_hand = {
        expect_present("x"): failing(lambda r: r["x"] is None or is_nan(r["x"])),
        expect_present("w"): failing(lambda r: r["w"] is None),
        expect_range("x", low=-5, high=5): failing(
            lambda r: r["x"] is not None and not -5 <= r["x"] <= 5
        ),
        expect_range("n", low=0): failing(lambda r: r["n"] is not None and r["n"] < 0),
        expect_range("n", high=2): failing(lambda r: r["n"] is not None and r["n"] > 2),
        expect_values("n", [0, 1]): failing(lambda r: r["n"] not in {None, 0, 1}),
        expect_values("w", ["a", "b"]): failing(lambda r: r["w"] not in {None, "a", "b"}),
        expect_pattern("w", "a|b+"): failing(
            lambda r: r["w"] is not None and not re.fullmatch("a|b+", r["w"])
        ),
        expect_unique("n"): repeats([r["n"] for r in rows]),
        expect_unique("n", "w"): repeats([(r["n"], r["w"]) for r in rows]),
        expect_no_duplicates(): repeats([key_of(r) for r in rows]),
    }
    gate = Gate(name="suite", checks=tuple(by_hand))
    for finding, places in zip(
        judge_tables(gate, {"t": frame}).findings, by_hand.values(), strict=True
    ):
        assert finding.ok == (not places), finding
        assert finding.evidence.get("failed", 0) == len(places), finding
        assert finding.evidence.get("examples", []) == places[:100], finding


@given(tables, st.floats(0, 1))
def test_a_share_of_failures_is_tolerated(rows: list[dict[str, Any]], mostly: float) -> None:
    asked = [row["n"] for row in rows if row["n"] is not None]
    share = sum(value >= 0 for value in asked) / len(asked) if asked else 1.0
    finding = ask(expect_range("n", low=0, mostly=mostly), as_table(rows))
    assert finding.value == pytest.approx(share)
    if abs(share - mostly) > 1e-9:
        assert finding.ok == (share > mostly)


@given(tables)
def test_alone_or_in_a_suite_a_check_says_the_same(rows: list[dict[str, Any]]) -> None:
    frame = as_table(rows)
    checks = (expect_unique("n"), expect_range("x", low=0), expect_label("w"), expect_rows(3))
    together = judge_tables(Gate(name="suite", checks=checks), {"t": frame}).findings
    alone = tuple(Gate(name="one", checks=(c,)).judge({"table": frame}).findings[0] for c in checks)
    assert together == alone


@given(tables, tables)
def test_shared_rows_are_those_of_both_tables(
    train: list[dict[str, Any]], test: list[dict[str, Any]]
) -> None:
    known = {key_of(row) for row in train}
    places = [place for place, row in enumerate(test) if key_of(row) in known]
    shared = find_shared_rows(as_table(train), as_table(test))
    assert (shared.rows, list(shared.examples)) == (len(places), places[:100])


@given(tables)
def test_labels_are_counted_as_by_hand(rows: list[dict[str, Any]]) -> None:
    labels = Counter(row["n"] for row in rows if row["n"] is not None)
    finding = ask(expect_label("n", least_rows=10, least_share=0.1), as_table(rows))
    total = labels.total()
    wanted = total >= 10 and len(labels) >= 2 and min(labels.values()) / total >= 0.1
    assert finding.ok == wanted


# ---------------------------------------------------------------- one by one


def test_columns_may_be_expected_with_their_kinds() -> None:
    frame = pl.DataFrame({"a": [1], "b": ["x"]})
    assert ask(expect_columns(["b", "a"]), frame).ok
    assert ask(expect_columns({"a": "integer", "b": "text"}), frame).ok
    assert ask(expect_columns({"a": "text"}), frame).ok is False
    missing = ask(expect_columns(["aa"]), frame)
    assert missing.ok is False
    assert "'aa'" in missing.summary


def test_a_column_that_is_gone_or_retyped_fails_only_its_own_check() -> None:
    checks = (
        expect_range("gone", low=0),
        expect_range("text", low=0),
        expect_pattern("number", "x"),
        expect_range("number", low=0),
    )
    frame = pl.DataFrame({"number": [1], "text": ["x"]})
    findings = judge_tables(Gate(name="g", checks=checks), {"t": frame}).findings
    assert [finding.ok for finding in findings] == [False, False, False, True]


def test_rows_have_a_least_and_a_most() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3]})
    assert [ask(expect_rows(n), frame).ok for n in (3, 4)] == [True, False]
    assert [ask(expect_rows(1, most=n), frame).ok for n in (3, 2)] == [True, False]


def test_ranges_of_times_mean_instants() -> None:
    zoned = pl.DataFrame({"at": [NOON]}).with_columns(
        pl.col("at").dt.convert_time_zone("Asia/Tokyo")
    )
    naive = zoned.with_columns(pl.col("at").dt.convert_time_zone("UTC").dt.replace_time_zone(None))
    for frame in (zoned, naive):
        assert ask(expect_range("at", low=NOON, high=NOON), frame).ok
        assert ask(expect_range("at", low=NOON + timedelta(seconds=1)), frame).ok is False
    days = pl.DataFrame({"day": [date(2020, 1, 2)]})
    assert ask(expect_range("day", low=date(2020, 1, 2)), days).ok
    assert ask(expect_range("day", high=date(2020, 1, 1)), days).ok is False


def test_freshness_is_counted_from_the_newest_row_to_now() -> None:
    frame = pl.DataFrame({"at": [NOON - timedelta(days=9), NOON - timedelta(hours=2), None]})
    assert ask(expect_fresh("at", timedelta(hours=2)), frame).ok
    stale = ask(expect_fresh("at", timedelta(hours=1)), frame)
    assert stale.ok is False
    assert stale.value == 7200
    assert ask(expect_fresh("at", timedelta(hours=1), at=NOON - timedelta(hours=1)), frame).ok
    undecided = ask(expect_fresh("at", timedelta(hours=1)), frame.filter(pl.col("at").is_null()))
    assert undecided.ok is None


def test_a_reference_finds_orphans_in_another_table() -> None:
    flights = pl.DataFrame({"carrier": ["AA", "UA", None, "XX"]})
    carriers = pl.DataFrame({"code": ["AA", "UA"]})
    rule = expect_reference("carrier", "carriers", "code", table="table")
    finding = ask(rule, flights, carriers=carriers)
    assert finding.ok is False
    assert finding.evidence == {"failed": 1, "examples": [3]}
    assert ask(rule, flights, carriers=pl.DataFrame({"code": [1]})).ok is None
    assert ask(rule, flights, other=carriers).ok is None


def test_rows_in_train_and_test_are_found() -> None:
    train = pl.DataFrame({"id": [1, 2], "x": [1.0, None]})
    test = pl.DataFrame({"id": [2, 3], "x": [None, 1.0]})
    finding = ask(expect_no_overlap("train", table="table"), test, train=train)
    assert finding.evidence == {"failed": 1, "examples": [0]}
    assert ask(expect_no_overlap("train", ["id", "x"], table="table"), test[1:], train=train).ok
    with pytest.raises(Invalid, match="'x'"):
        find_shared_rows(train.select("id"), test)


def test_a_check_without_a_table_cannot_choose_among_several() -> None:
    frame = pl.DataFrame({"a": [1]})
    finding = ask(expect_rows(1), frame, other=frame)
    assert finding.ok is None
    assert "table" in finding.summary


def test_a_check_that_cannot_be_computed_spoils_no_other() -> None:
    impossible = RowRule(
        columns={}, fails=lambda _frame, _evidence: pl.col("a").str.len_bytes() > 1, words="are odd"
    )
    checks = (Check(name="impossible", ask=impossible.expectation(None)), expect_rows(1))
    findings = judge_tables(Gate(name="g", checks=checks), {"t": pl.DataFrame({"a": [1]})}).findings
    assert [finding.ok for finding in findings] == [None, True]


def test_own_checks_see_the_tables_and_stand_beside_ours() -> None:
    @check("sums up")
    def sums_up(evidence: Any) -> bool:
        return evidence["table"]["a"].sum() == 6

    gate = Gate(name="g", checks=(sums_up, expect_rows(3)))
    assert judge_tables(gate, {"t": pl.DataFrame({"a": [1, 2, 3]})}).passed


def test_findings_name_rows_and_never_values() -> None:
    frame = pl.DataFrame({"mail": ["anna@example.org"] * 300})
    for rule in (expect_pattern("mail", "x+"), expect_values("mail", ["x"]), expect_unique("mail")):
        finding = ask(rule, frame)
        assert b"anna" not in msgspec.json.encode(finding)
        assert len(finding.evidence["examples"]) == 100


@pytest.mark.parametrize(
    "make",
    [
        lambda: expect_pattern("a", "(open"),
        lambda: expect_pattern("a", "(?=look)"),
        lambda: expect_range("a"),
        lambda: expect_range("a", low=1, high=date(2020, 1, 1)),
        lambda: expect_values("a", []),
        lambda: expect_values("a", ["x", 1]),
        lambda: expect_present("a", mostly=1.5),
        expect_unique,
    ],
)
def test_a_check_that_makes_no_sense_is_refused_when_it_is_made(make: Any) -> None:
    with pytest.raises(Invalid) as caught:
        make()
    assert caught.value.code == "bad-check"
