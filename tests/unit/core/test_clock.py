from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.clock import EventClock, as_utc, from_micros, to_micros
from trivet.core.errors import Invalid


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_the_way_to_microseconds_and_back(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


def test_the_same_instant_in_two_zones_is_one_number() -> None:
    there = datetime(2013, 3, 10, 2, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert to_micros(there) == to_micros(as_utc(there))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="without a time zone"):
        as_utc(datetime(2013, 1, 1))  # noqa: DTZ001  # the point


def test_an_event_clock_never_runs_backwards() -> None:
    start = datetime(2013, 1, 1, tzinfo=UTC)
    clock = EventClock(start)
    clock.move_to(start + timedelta(days=2))
    clock.move_to(start + timedelta(days=1))
    assert clock.now() == start + timedelta(days=2)
