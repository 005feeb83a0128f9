from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trivet.demo.history import gather, ratio

Event = tuple[int, int, int]
events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(-9, 9)), max_size=40)
questions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=10)


def columns(rows: list[tuple[int, ...]], width: int) -> list[np.ndarray]:
    return [np.array([row[at] for row in rows], dtype=np.int64) for at in range(width)]


@given(events, questions, st.none() | st.integers(0, 30))
def test_totals_are_those_of_the_events_known_in_the_window(
    known: list[Event], asked: list[tuple[int, int]], window: int | None
) -> None:
    history = gather(*columns(known, 3))
    totals = history.totals(*columns(asked, 2), window_min=window)
    for (group, now), (count, total) in zip(asked, totals, strict=True):
        first = -1 if window is None else now - window
        values = [value for key, at, value in known if key == group and first < at <= now]
        assert (count, total) == (len(values), sum(values))


@given(events, questions)
def test_the_latest_event_is_the_last_one_of_its_group_known_by_then(
    known: list[Event], asked: list[tuple[int, int]]
) -> None:
    history = gather(*columns(known, 3))
    found, minutes = history.latest(*columns(asked, 2))
    for (group, now), at, minute in zip(asked, found, minutes, strict=True):
        past = [(when, value) for key, when, value in known if key == group and when <= now]
        if past:
            assert (minute, history.value(at)) == max(past)
        else:
            assert at == -1
            assert np.isnan(history.value(at))


@given(events, st.randoms(use_true_random=False))
def test_the_order_in_which_events_are_listed_changes_nothing(
    known: list[Event], order: Random
) -> None:
    shuffled = list(known)
    order.shuffle(shuffled)
    one, other = gather(*columns(known, 3)), gather(*columns(shuffled, 3))
    assert one.sums.tobytes() == other.sums.tobytes()


def test_a_ratio_of_nothing_is_missing() -> None:
    answer = ratio(np.array([3, 1]), np.array([2, 0]))
    assert answer[0] == 1.5
    assert np.isnan(answer[1])
