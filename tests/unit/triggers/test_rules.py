from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.triggers.checking import check_rule
from trivet.triggers.facts import TriggerSet
from trivet.triggers.rules import (
    Notes,
    Past,
    Sight,
    cron_mark,
    decide,
    due_mark,
    take_note,
    too_late,
)

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def rule(**fields: Any) -> TriggerSet:
    given: dict[str, Any] = {
        "name": "retrain",
        "cause": "alert",
        "watch": "delay",
        "flow": "pipeline:train",
        "since": START,
    }
    return TriggerSet(**(given | fields))


def sight(mark: str | None = "alert-1") -> Sight:
    return Sight(mark=mark, summary="the loss rose")


@dataclass(frozen=True)
class Case:
    fields: dict[str, Any]
    mark: str | None
    past: Past
    fires: bool
    because: str


CASES = {
    "something new": Case({}, "a", Past(), True, "the loss rose"),
    "nothing to act on": Case({}, None, Past(), False, "nothing new"),
    "acted on already": Case({}, "a", Past(marks=frozenset("a")), False, "nothing new"),
    "paused": Case({"paused": True}, "a", Past(), False, "paused"),
    "its run is under way": Case({}, "b", Past(is_running=True), False, "under way"),
    "cooling down": Case(
        {"cooldown_s": 7200.0},
        "b",
        Past(fired=(START - timedelta(hours=1),)),
        False,
        "cooling down until 2013-03-01 01:00 UTC",
    ),
    "cooled down": Case(
        {"cooldown_s": 3600.0}, "b", Past(fired=(START - timedelta(hours=1),)), True, "the loss"
    ),
    "the newest firing counts, whatever their order": Case(
        {"cooldown_s": 7200.0}, "b", Past(fired=(START, START - 9 * DAY)), False, "cooling down"
    ),
    "the week's budget is spent": Case(
        {"per_week": 2}, "c", Past(fired=(START - DAY, START - 6 * DAY)), False, "fired 2 times"
    ),
    "a week later it is not": Case(
        {"per_week": 2}, "c", Past(fired=(START - DAY, START - 7 * DAY)), True, "the loss rose"
    ),
    "a pause is said before a cool-down": Case(
        {"paused": True, "cooldown_s": 1e6}, "b", Past(fired=(START,)), False, "paused"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_trigger_decides_with_a_reason(case: Case) -> None:
    decision = decide(rule(**case.fields), sight(case.mark), case.past, START)
    assert decision.fires is case.fires
    assert case.because in decision.reason
    # What it would act on is named whether it acts or not; where there is nothing, nothing is.
    is_new = case.mark is not None and case.mark not in case.past.marks
    assert decision.mark == (case.mark if is_new else None)


instants = st.integers(-40 * 24, 0).map(lambda hours: START + timedelta(hours=hours))
pasts = st.builds(
    Past,
    marks=st.frozensets(st.sampled_from("abc")),
    fired=st.lists(instants, max_size=6).map(tuple),
    is_running=st.booleans(),
)
rules = st.builds(
    rule,
    cooldown_s=st.integers(0, 10 * 86_400).map(float),
    per_week=st.none() | st.integers(1, 4),
    paused=st.booleans(),
)


@given(rule=rules, past=pasts, mark=st.sampled_from([None, "a", "b", "c"]))
def test_limits_hold_whatever_happened(rule: TriggerSet, past: Past, mark: str | None) -> None:
    decision = decide(rule, sight(mark), past, START)
    assert decision.reason
    if not decision.fires:
        return
    assert mark is not None
    assert mark not in past.marks
    assert not rule.paused
    assert not past.is_running
    assert all((START - instant).total_seconds() >= rule.cooldown_s for instant in past.fired)
    recent = [instant for instant in past.fired if START - instant < timedelta(days=7)]
    assert rule.per_week is None or len(recent) < rule.per_week


@given(past=pasts, mark=st.sampled_from(["a", "b", "c"]))
def test_an_unlimited_trigger_acts_on_everything_new_once(past: Past, mark: str) -> None:
    decision = decide(rule(), sight(mark), past, START)
    assert decision.fires is (mark not in past.marks and not past.is_running)


@pytest.mark.parametrize(
    ("fired", "hours", "due"),
    [
        ([], 23, None),  # the first period is not over
        ([], 24, "2013-03-02"),
        ([], 24 * 10 + 5, "2013-03-11"),  # nine missed periods are made up once
        ([24 * 10 + 5], 24 * 10 + 6, None),
        ([25], 47, None),
        ([25], 48, "2013-03-03"),  # a late look does not move the next one
        ([30], 26, None),  # fired later than now, on a clock that was put back
    ],
)
def test_a_schedule_is_due_once_per_period(fired: list[int], hours: int, due: str | None) -> None:
    seen = due_mark(
        86_400.0,
        [START + timedelta(hours=at) for at in fired],
        START,
        START + timedelta(hours=hours),
    )
    assert (seen.mark is None) is (due is None)
    if due is None:
        assert "next due" in seen.summary
    else:
        assert str(seen.mark).startswith(due)


@given(
    period_h=st.integers(1, 100),
    looks=st.lists(st.integers(0, 1000), min_size=1, max_size=30).map(sorted),
)
def test_a_schedule_never_fires_twice_in_a_period_and_misses_none_that_is_looked_at(
    period_h: int, looks: list[int]
) -> None:
    fired: list[datetime] = []
    for hour in looks:
        now = START + timedelta(hours=hour)
        if due_mark(period_h * 3600.0, fired, START, now).mark is not None:
            fired.append(now)
    periods = [int((instant - START) / timedelta(hours=period_h)) for instant in fired]
    assert periods == sorted(set(periods))
    assert set(periods) == {hour // period_h for hour in looks} - {0}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"watch": ""}, "expected an endpoint"),
        ({"cause": "data", "watch": ""}, "expected a data set"),
        ({"cause": "schedule", "watch": "daily"}, "is no period"),
        ({"cause": "schedule", "watch": "0"}, "is no period"),
        ({"cause": "schedule", "watch": "nan"}, "is no period"),
        ({"cooldown_s": -1.0}, "cooldown_s >= 0"),
        ({"per_week": 0}, "per_week >= 1"),
        ({"flow": "train"}, "no `module:function`"),
        ({"flow": ":train"}, "no `module:function`"),
        ({"parameters": {"model": object()}}, "not JSON-ready"),
        ({"cause": "cron", "watch": ""}, "expected an expression"),
        ({"cause": "cron", "watch": "0 3 * *"}, "has 4 fields"),
        ({"cause": "cron", "watch": "0 0 31 2 *"}, "never comes"),
        ({"cause": "cron", "watch": "@daily", "zone": "Mars/Olympus"}, "is no time zone"),
        ({"cause": "files", "watch": ""}, "expected a folder, a file or a pattern"),
        ({"cause": "files", "watch": "s3://bucket/in"}, "Buckets have|expected a path"),
        ({"cause": "bucket", "watch": "incoming"}, "expected s3://"),
        ({"cause": "git", "watch": "https://a:b@example.org/x"}, "never stored"),
        ({"cause": "git", "watch": ".", "branch": "a b"}, "no name of a branch"),
        ({"cause": "hand", "watch": "delay"}, "watches nothing"),
        ({"zone": "Europe/Berlin"}, "zone belongs to the cause cron"),
        ({"branch": "main"}, "branch belongs to the cause git"),
        ({"paths": ("src",)}, "paths belongs to the cause git"),
        ({"min_rows": 5}, "min_rows belongs to the cause data"),
        ({"catch_up_s": 5.0}, "catch_up_s belongs to the cause schedule or cron"),
        ({"cause": "data", "kinds": ("drift",)}, "kinds belongs to the cause alert"),
        ({"cause": "schedule", "watch": "60", "debounce_s": 5.0}, "debounce_s belongs to"),
        ({"cause": "data", "min_rows": -1}, "min_rows is below 0"),
        ({"debounce_s": -1.0}, "debounce_s <= debounce_at_most_s"),
        ({"debounce_s": 9.0, "debounce_at_most_s": 5.0}, "debounce_s <= debounce_at_most_s"),
        ({"seconds_per_week": -1.0}, "seconds_per_week >= 0"),
        ({"cooldown_s": float("nan")}, "cooldown_s >= 0"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        check_rule(rule(**fields))
    assert caught.value.hint


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cause": "data"},
        {"cause": "schedule", "watch": "86400"},
        {"cause": "hand", "watch": ""},
        {"cause": "cron", "watch": "@daily", "zone": "Asia/Kolkata", "catch_up_s": 60.0},
        {"cause": "files", "watch": "incoming/*.csv", "debounce_s": 60.0},
        {"cause": "bucket", "watch": "s3://company-data/in", "debounce_s": 5.0},
        {"cause": "git", "watch": ".", "branch": "main", "paths": ("src",)},
        {"kinds": ("drift", "quality"), "seconds_per_week": 3600.0},
        {"cause": "data", "min_rows": 500, "debounce_s": 1.0, "debounce_at_most_s": 1.0},
    ],
)
def test_a_rule_that_can_work_is_taken_as_it_is(fields: dict[str, Any]) -> None:
    assert check_rule(rule(**fields)) == rule(**fields)


def cron(**fields: Any) -> TriggerSet:
    return rule(**({"cause": "cron", "watch": "0 3 * * *", "zone": "Europe/Berlin"} | fields))


@pytest.mark.parametrize(
    ("fired", "hours", "words"),
    [
        ([], 1, "next due 2013-03-01 03:00 CET"),
        ([], 2, "due since 2013-03-01 03:00 CET"),
        ([], 50, "due since 2013-03-03 03:00 CET; catches up"),
        ([50], 51, "next due 2013-03-04 03:00 CET"),
        ([3], 26, "due since 2013-03-02 03:00 CET"),
        ([60], 26, "next due 2013-03-03 03:00 CET"),  # fired later than now: the clock was put back
    ],
)
def test_a_cron_time_is_made_up_once(fired: list[int], hours: int, words: str) -> None:
    instants = [START + timedelta(hours=at) for at in fired]
    seen = cron_mark(cron(), instants, START + timedelta(hours=hours))
    assert words in seen.summary
    assert ("catches up" in seen.summary) is ("catches up" in words)
    assert (seen.mark is None) is words.startswith("next")


def test_a_time_that_is_too_long_past_is_left_out() -> None:
    late = cron(catch_up_s=3600.0)
    for hours, fires in ((2.5, True), (3.5, False)):
        now = START + timedelta(hours=hours)
        found = decide(late, too_late(late, cron_mark(late, [], now), now), Past(), now)
        assert found.fires is fires
    assert found.reason == (
        "missed: due since 2013-03-01 03:00 CET, and what is 3600 s late is left out"
    )


def watch_over(rule: TriggerSet, marks: dict[int, str], seconds: int) -> list[tuple[int, str]]:
    """Look every second at marks that change; return when it fired, and for what."""
    notes, fired, acted = Notes(), [], frozenset[str]()
    mark = None
    for second in range(seconds):
        now = START + timedelta(seconds=second)
        mark = marks.get(second, mark)
        past = Past(marks=acted)
        notes = take_note(notes, sight(mark), past, now)
        if decide(rule, sight(mark), past, now, notes).fires:
            fired.append((second, str(mark)))
            acted |= {str(mark)}
            notes = Notes()
    return fired


def test_a_burst_is_waited_out_and_asks_for_one_run() -> None:
    burst = {second: f"v{second}" for second in range(100, 200)}
    assert watch_over(rule(debounce_s=30.0), burst, 400) == [(229, "v199")]


def test_what_never_becomes_quiet_is_waited_for_only_so_long() -> None:
    restless = {second: f"v{second}" for second in range(100, 400)}
    found = watch_over(rule(debounce_s=30.0, debounce_at_most_s=60.0), restless, 500)
    # Each firing begins a new wait; the last one finds quiet.
    assert [second for second, _ in found] == [160, 221, 282, 343, 404]
    assert watch_over(rule(debounce_s=30.0), restless, 500) == [(400, "v399")]


def test_what_runs_may_cost_in_a_week_is_bounded() -> None:
    bounded = rule(seconds_per_week=100.0)
    assert decide(bounded, sight(), Past(seconds=99.0), START).fires
    held = decide(bounded, sight(), Past(seconds=100.5), START)
    assert (held.fires, held.reason) == (
        False,
        "its runs took 100 s within a week already; 100 s are allowed",
    )
