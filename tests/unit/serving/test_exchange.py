from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.clock import to_micros
from trivet.core.errors import Invalid
from trivet.serving.exchange import (
    MOST_ROWS,
    PredictRequest,
    event_micros,
    read_labels,
    read_predict,
)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.floats(allow_nan=False)
)
SOME_ROWS = st.lists(
    st.dictionaries(st.text(), SCALARS) | st.lists(SCALARS), min_size=1, max_size=5
)


@given(SOME_ROWS)
def test_rows_arrive_as_they_were_sent(rows: list[object]) -> None:
    body = msgspec.json.encode({"rows": rows})
    found = read_predict(body).rows
    assert found == msgspec.json.decode(msgspec.json.encode(rows))


def test_as_many_rows_as_allowed_are_taken_and_one_more_is_not() -> None:
    assert len(read_predict(msgspec.json.encode({"rows": [[]] * MOST_ROWS})).rows) == MOST_ROWS
    with pytest.raises(Invalid) as caught:
        read_predict(msgspec.json.encode({"rows": [[]] * (MOST_ROWS + 1)}))
    assert caught.value.code == "bad-rows"
    assert str(MOST_ROWS) in caught.value.message


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"rows": [1]}', "$.rows[0]"),
        (b'{"rows": [[]], "units": [1]}', "$.units[0]"),
        (b'{"rows": [[]], "event_times": ["noon"]}', "$.event_times[0]"),
        (b'{"rows": [[]], "unit": "a"}', "unit"),
        (b"{}", "rows"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_place(body: bytes, place: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_predict(body)
    assert place in caught.value.message
    assert '{"rows"' in caught.value.hint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"labels": 1}',
        b'{"labels": [{}]}',
        b'{"labels": [{"prediction": "a", "value": null}]}',
        b'{"labels": [{"prediction": "a", "value": 1, "more": 1}]}',
    ],
)
def test_what_is_no_report_of_labels_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read_labels(body)
    assert caught.value.code == "bad-body"


def test_nesting_without_end_is_an_error_of_the_client() -> None:
    for read in (read_predict, read_labels):
        with pytest.raises(Invalid):
            read(b'{"rows": ' + b"[" * 1_000_000)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), st.integers(-12, 12))  # noqa: DTZ001  # made aware below
def test_event_times_are_instants_whatever_their_zone(when: datetime, hours: int) -> None:
    zoned = when.replace(tzinfo=timezone(timedelta(hours=hours)))
    request = PredictRequest(rows=[[]], event_times=[zoned])
    assert event_micros(request) == [to_micros(zoned.astimezone(UTC))]


def test_an_event_time_without_a_zone_is_named_by_its_row() -> None:
    request = read_predict(
        b'{"rows": [[], []], "event_times": ["2013-03-01T10:00:00Z", "2013-03-01T10:00:00"]}'
    )
    with pytest.raises(Invalid) as caught:
        event_micros(request)
    assert "event_times[1]" in caught.value.message


def test_requests_without_event_times_have_none() -> None:
    assert event_micros(read_predict(b'{"rows": [[]]}')) is None
