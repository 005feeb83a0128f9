from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trivet.core.clock import to_micros
from trivet.monitoring.collecting import Collector, window_of
from trivet.serving.facts import LABELS, PREDICTIONS, Label, Prediction
from trivet.serving.records import encode_record
from trivet.testing.memory_stores import MemoryLog

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def prediction(name: str, instant: datetime, **fields: Any) -> bytes:
    given: dict[str, Any] = {
        "id": name,
        "time_us": to_micros(instant),
        "endpoint": "left",
        "release": "r1",
        "variant": "champion",
        "role": "live",
        "assignment": "random",
        "share": 1.0,
        "unit": None,
        "event_us": None,
        "inputs": (),
        "output": b"\0\0\0\0",
        "package": "p1",
        "micros": 1,
    }
    return encode_record(Prediction(**(given | fields)))


def label(name: str, value: float) -> bytes:
    return encode_record(Label(prediction=name, value=value, arrived_us=0))


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # the zone is beside it
    st.integers(60, 10 * 86_400),
)
def test_windows_are_aligned_and_without_gaps(instant: datetime, seconds: int) -> None:
    window = timedelta(seconds=seconds)
    start = window_of(instant, window)
    assert start <= instant < start + window
    assert (start - datetime(1970, 1, 1, tzinfo=UTC)) % window == timedelta(0)
    assert window_of(start, window) == start


def test_a_label_belongs_to_the_very_prediction_that_it_names() -> None:
    log = MemoryLog()
    # One entity, answered under two releases.
    log.append(PREDICTIONS, [prediction("a", START), prediction("b", START, release="r2")])
    log.append(LABELS, [label("b", 1.0)])
    collector = Collector(log, DAY)
    collector.pull()
    assert [(r.prediction.id, r.label) for r in collector.rows("left", START)] == [
        ("a", None),
        ("b", 1.0),
    ]


def test_the_newest_label_of_a_prediction_counts() -> None:
    log = MemoryLog()
    log.append(PREDICTIONS, [prediction("a", START)])
    log.append(LABELS, [label("a", 0.0), label("a", 1.0)])
    collector = Collector(log, DAY)
    collector.pull()
    assert collector.rows("left", START)[0].label == 1.0


def test_a_label_may_arrive_with_a_later_look() -> None:
    log = MemoryLog()
    log.append(PREDICTIONS, [prediction("a", START)])
    collector = Collector(log, DAY)
    collector.pull()
    assert collector.rows("left", START)[0].label is None
    log.append(LABELS, [label("a", 1.0)])
    collector.pull()
    assert collector.rows("left", START)[0].label == 1.0


def test_windows_go_by_event_time_and_by_the_answer_s_time_without_one() -> None:
    log = MemoryLog()
    late = START + 9 * DAY
    log.append(
        PREDICTIONS, [prediction("a", late, event_us=to_micros(START)), prediction("b", late)]
    )
    collector = Collector(log, DAY)
    collector.pull()
    assert collector.windows("left") == (START, late)


def test_what_comes_after_its_window_was_closed_is_counted_by_endpoint() -> None:
    log = MemoryLog()
    log.append(PREDICTIONS, [prediction("a", START), prediction("x", START, endpoint="other")])
    collector = Collector(log, DAY)
    collector.pull()
    collector.close("left", START + DAY)
    late = [prediction("b", START), prediction("c", START + DAY)]
    log.append(PREDICTIONS, [*late, prediction("y", START, endpoint="other")])
    collector.pull()
    assert collector.windows("left") == (START + DAY,)
    assert collector.late == {"left": 1}
    assert len(collector.rows("other", START)) == 2


def test_endpoints_do_not_see_each_other_s_rows() -> None:
    log = MemoryLog()
    log.append(PREDICTIONS, [prediction("a", START), prediction("b", START, endpoint="other")])
    collector = Collector(log, DAY)
    collector.pull()
    assert [r.prediction.id for r in collector.rows("left", START)] == ["a"]
    assert [r.prediction.id for r in collector.rows("other", START)] == ["b"]


def test_a_shadow_has_the_truth_of_the_prediction_that_it_doubles() -> None:
    log = MemoryLog()
    doubled = prediction("s", START, role="shadow", of="a", assignment="shadow")
    log.append(PREDICTIONS, [prediction("a", START), doubled])
    collector = Collector(log, DAY)
    collector.pull()
    assert list(collector.pairs(collector.rows("left", START))) == []  # truth is not known yet
    log.append(LABELS, [label("a", 1.0)])
    collector.pull()
    ((live, shadow),) = collector.pairs(collector.rows("left", START))
    assert (live.prediction.id, shadow.prediction.id) == ("a", "s")
    assert (live.label, shadow.label) == (1.0, 1.0)


def test_a_shadow_without_its_live_prediction_is_no_pair() -> None:
    log = MemoryLog()
    log.append(PREDICTIONS, [prediction("s", START, role="shadow", of="gone")])
    log.append(LABELS, [label("gone", 1.0)])
    collector = Collector(log, DAY)
    collector.pull()
    assert list(collector.pairs(collector.rows("left", START))) == []


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 9))
def test_pulling_in_parts_gives_the_same_rows_as_pulling_at_once(
    days: list[int], parts: int
) -> None:
    records = [prediction(f"{n:032x}", START + day * DAY) for n, day in enumerate(days)]
    labels = [label(f"{n:032x}", float(n % 2)) for n in range(len(days))]
    whole, stepwise = MemoryLog(), MemoryLog()
    whole.append(PREDICTIONS, records)
    whole.append(LABELS, labels)
    once, often = Collector(whole, DAY), Collector(stepwise, DAY)
    once.pull()
    for at in range(0, len(records), parts):
        stepwise.append(PREDICTIONS, records[at : at + parts])
        stepwise.append(LABELS, labels[at : at + parts])
        often.pull()
    assert often.windows("left") == once.windows("left")
    for start in once.windows("left"):
        assert often.rows("left", start) == once.rows("left", start)
