from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.triggers.cron import Cron, last_time, next_time, next_times, parse, zone_of

MINUTE = timedelta(minutes=1)
BERLIN = ZoneInfo("Europe/Berlin")

# Zones and years with what clocks do: an hour at night, at midnight, at a minute past it, half an
# hour, two hours, a date line (a whole day), nothing.
PLACES = [
    ("Europe/Berlin", 2025),
    ("America/New_York", 2024),
    ("America/Sao_Paulo", 2018),
    ("America/St_Johns", 2010),
    ("Australia/Lord_Howe", 2023),
    ("Antarctica/Troll", 2022),
    ("Pacific/Apia", 2011),
    ("Asia/Kathmandu", 2025),
    ("Africa/Cairo", 2024),
]
EXPRESSIONS = [
    "30 2 * * *",
    "0 0 * * *",
    "0,15,30 1-3 * * *",
    "*/20 * * * *",
    "15 * * * *",
    "*/30 2 * * *",
    "7 0-23/5 * * *",
    "1 0 * * *",
    "59 23 * * sun",
    "0 2 1,13 * fri",
]


def admits(cron: Cron, shown: datetime) -> bool:
    return shown.minute in cron.minutes and shown.hour in cron.hours and cron.admits(shown.date())


def by_the_minute(cron: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Run the daemon by brute force: a wall clock and the hand it has got to, minute by minute."""
    ran: list[datetime] = []
    at = start
    reached = at.astimezone(zone).replace(tzinfo=None) - MINUTE
    while at < end:
        shown = at.astimezone(zone).replace(tzinfo=None, fold=0)
        if cron.keeps_pace or abs(shown - reached) >= timedelta(hours=3):
            due = admits(cron, shown)
            if not cron.keeps_pace:
                reached = shown - MINUTE
        else:
            due = any(
                admits(cron, reached + number * MINUTE)
                for number in range(1, (shown - reached) // MINUTE + 1)
            )
        if due:
            ran.append(at)
        reached = max(reached, shown) if not cron.keeps_pace else shown
        at += MINUTE
    return ran


def between(cron: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    for at in next_times(cron, zone, start - MINUTE):
        if at >= end:
            return
        yield at


def changes_of(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours of a year (UTC) in which the clocks of a zone change."""
    hours = (datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(8760))
    hour = timedelta(hours=1)
    return [
        at
        for at in hours
        if at.astimezone(zone).utcoffset() != (at + hour).astimezone(zone).utcoffset()
    ]


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize(("name", "year"), PLACES)
def test_it_runs_when_a_daemon_that_looks_every_minute_would(
    name: str, year: int, text: str
) -> None:
    zone, cron = ZoneInfo(name), parse(text)
    # Around each change of the clocks; where there is none, anywhere.
    for change in changes_of(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]:
        start, end = change - timedelta(days=2), change + timedelta(days=2)
        expected = by_the_minute(cron, zone, start, end)
        assert list(between(cron, zone, start, end)) == expected


@settings(max_examples=60)
@given(
    place=st.sampled_from(PLACES),
    text=st.sampled_from(EXPRESSIONS),
    hours=st.integers(0, 8700),
    back=st.integers(1, 2000),
)
def test_the_last_time_is_the_one_before_the_next(
    place: tuple[str, int], text: str, hours: int, back: int
) -> None:
    zone, cron = ZoneInfo(place[0]), parse(text)
    now = datetime(place[1], 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    since = now - timedelta(hours=back)
    last = last_time(cron, zone, now, since)
    if last is None:
        following = next_time(cron, zone, since)
        assert following is None or following > now
    else:
        assert since < last <= now
        assert next_time(cron, zone, last - MINUTE) == last
        following = next_time(cron, zone, last)
        assert following is not None
        assert following > now


def shown(text: str, start: str, count: int) -> list[str]:
    first = datetime.fromisoformat(start).replace(tzinfo=BERLIN)
    times = islice(next_times(parse(text), BERLIN, first), count)
    return [f"{at.astimezone(BERLIN):%m-%d %H:%M %Z}" for at in times]


def test_what_falls_into_the_skipped_hour_runs_once_right_after_it() -> None:
    assert shown("30 2 * * *", "2025-03-29", 3) == [
        "03-29 02:30 CET",
        "03-30 03:00 CEST",
        "03-31 02:30 CEST",
    ]
    assert shown("0,30 2,3 * * *", "2025-03-30", 3) == [
        "03-30 03:00 CEST",
        "03-30 03:30 CEST",
        "03-31 02:00 CEST",
    ]


def test_what_falls_into_the_repeated_hour_runs_once() -> None:
    assert shown("30 2 * * *", "2025-10-26", 2) == ["10-26 02:30 CEST", "10-27 02:30 CET"]


def test_what_runs_every_hour_keeps_its_pace() -> None:
    assert shown("30 * * * *", "2025-10-26 01:00", 4) == [
        "10-26 01:30 CEST",
        "10-26 02:30 CEST",
        "10-26 02:30 CET",
        "10-26 03:30 CET",
    ]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("@daily", ["01-02 00:00 CET", "01-03 00:00 CET"]),
        ("@Weekly", ["01-05 00:00 CET", "01-12 00:00 CET"]),
        ("@monthly", ["02-01 00:00 CET", "03-01 00:00 CET"]),
        ("0 9-17/4 * * mon-FRI", ["01-01 09:00 CET", "01-01 13:00 CET"]),
        ("0 12 * feb,apr *", ["02-01 12:00 CET", "02-02 12:00 CET"]),
        ("0 0 13 * 5", ["01-03 00:00 CET", "01-10 00:00 CET"]),  # the 13th, or a Friday
        ("0 0 * * sat-sun", ["01-04 00:00 CET", "01-05 00:00 CET"]),
        ("0 0 * * 7", ["01-05 00:00 CET", "01-12 00:00 CET"]),
        ("0 0 */20 * 7", ["06-01 00:00 CEST", "09-21 00:00 CEST"]),  # `*` at the front: both
        ("0 0 29 2 *", ["02-29 00:00 CET", "02-29 00:00 CET"]),
    ],
)
def test_fields_mean_what_crontab_says(text: str, times: list[str]) -> None:
    assert shown(text, "2025-01-01", 2) == times


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has 0 fields"),
        ("0 3 * *", "has 4 fields; expected five"),
        ("60 3 * * *", "'60' is no minute; expected 0 to 59"),
        ("0 24 * * *", "is no hour"),
        ("0 0 0 * *", "is no day of month"),
        ("0 0 * 13 *", "is no month; expected 1 to 12 or jan, feb"),
        ("0 0 * * monday", "is no day of week; expected 0 to 7 or sun, mon"),
        ("0 0 * * 8", "is no day of week"),
        ("5-1 0 * * *", "a range that rises"),
        ("0/15 * * * *", "a range before the slash, such as 0-59/15"),
        ("*/0 * * * *", "a step of at least 1"),
        ("*/x * * * *", "a step of at least 1"),
        ("1,,2 * * * *", "is no minute"),
        ("-1 * * * *", "is no minute"),
        ("٣ * * * *", "is no minute"),
        ("@reboot", "expected one of @yearly"),
    ],
)
def test_what_is_no_schedule_is_refused_by_its_field(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_day_that_never_comes_is_never_due() -> None:
    assert next_time(parse("0 0 30 2 *"), BERLIN, datetime(2025, 1, 1, tzinfo=UTC)) is None


def test_a_leap_day_is_waited_for_over_a_century_without_one() -> None:
    found = next_time(parse("0 0 29 2 *"), ZoneInfo("UTC"), datetime(2096, 3, 1, tzinfo=UTC))
    assert found == datetime(2104, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime"])
def test_a_zone_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="is no time zone"):
        zone_of(name)
