"""Random histories of a store of series, compared with its twin in memory."""

import math
import shutil
import struct
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from trivet.core.ports import Curve, Points, Series, SeriesKey, Summary
from trivet.testing.contracts.log import close
from trivet.testing.memory_series import MemorySeries, rank

_LAST = SeriesKey("barrier", "last")
_KEYS = st.sampled_from([SeriesKey(owner, name) for owner in ("a", "ab", "b") for name in "xyz"])
_INT64 = st.integers(-(2**63), 2**63 - 1)
_STEPS = st.integers(-3, 40) | _INT64
_VALUES = (
    st.sampled_from([0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, math.copysign(math.nan, -1)])
    | st.floats()
)
_SHORT = st.lists(st.tuples(_STEPS, st.integers(0, 3), _VALUES), min_size=1, max_size=6)
_WHICH = st.integers(0, 1)
_HISTORIES = 40
_STEPS_OF_HISTORY = 30

Row = tuple[int, int, float]


def _line(start: int, count: int, width: int, value: float) -> list[Row]:
    return [(start + width * at, at % 2, value + at % 7) for at in range(count)]


_LONG = st.builds(
    _line, st.integers(-50, 50), st.integers(32, 90), st.integers(-2, 3), st.floats(-5, 5)
)


def columns(rows: list[Row]) -> Points:
    """Make columns of (step, time, value)."""
    return Points(
        array("q", [row[0] for row in rows]),
        array("q", [row[1] for row in rows]),
        array("d", [row[2] for row in rows]),
    )


def bits(points: Points) -> list[tuple[int, int, bytes]]:
    """Make rows of columns, with values as their bytes, so that NaN equals itself."""
    lists = [memoryview(column).tolist() for column in (points.steps, points.times)]
    values = [struct.pack("=d", value) for value in memoryview(points.values).tolist()]
    return list(zip(*lists, values, strict=True))


def plain(summary: Summary) -> tuple[Any, ...]:
    """Make a summary comparable: all but its count, NaN by name, -0.0 as 0.0 but in `latest`."""
    latest = summary.latest
    return (
        summary.first_step,
        summary.last_step,
        repr(summary.least + 0.0),
        repr(summary.greatest + 0.0),
        (latest.step, latest.time, struct.pack("=d", latest.value)),
    )


def drawn(curve: Curve) -> tuple[Any, ...]:
    """Make a curve comparable."""
    extents = [
        [repr(value + 0.0) for value in memoryview(column).tolist()]
        for column in (curve.least, curve.greatest)
    ]
    return bits(curve.first), bits(curve.last), *extents, bits(curve.sample)


def together(one: Summary, two: Summary) -> Summary:
    """Fold two summaries of one series, as a projection does."""
    extents = [
        choose([v for v in pair if not math.isnan(v)] or [math.nan])
        for choose, pair in (
            (min, (one.least, two.least)),
            (max, (one.greatest, two.greatest)),
        )
    ]
    return replace(
        max(one, two, key=_order),
        last_step=max(one.last_step, two.last_step),
        first_step=min(one.first_step, two.first_step),
        least=extents[0],
        greatest=extents[1],
    )


def _order(summary: Summary) -> tuple[Any, ...]:
    latest = summary.latest
    number: int = struct.unpack("=q", struct.pack("=d", latest.value))[0]
    return latest.step, latest.time, rank(number)


class SeriesMachine(RuleBasedStateMachine):
    """Several stores over one folder must answer as one dictionary does.

    Args:
        open_store: Opens the store of a folder.
        shares: Whether two stores that were opened on a folder hold the same.
    """

    def __init__(self, open_store: Callable[[Path], Series], *, shares: bool) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="trivet-series-"))
        self.open_store = open_store
        first = open_store(self.folder)
        self.stores = [first, open_store(self.folder) if shares else first]
        self.twin = MemorySeries()
        self.is_pending = [False, False]
        self.appended: Counter[SeriesKey] = Counter()
        self.was_merged = False
        self.is_exact = False
        self.followed: dict[SeriesKey, Summary] = {}
        self.position: str | None = None

    @rule(which=_WHICH, key=_KEYS, rows=_SHORT | _LONG, synced=st.booleans())
    def append(self, which: int, key: SeriesKey, rows: list[Row], *, synced: bool) -> None:
        self.stores[which].append([(key, columns(rows))], synced=synced)
        self.twin.append([(key, columns(rows))])
        self.is_pending[which] = not synced
        self.note([(key, columns(rows))])

    @rule(
        which=_WHICH,
        keys=st.lists(_KEYS, min_size=2, max_size=9),
        step=_STEPS,
        count=st.integers(1, 40),
    )
    def append_to_many(self, which: int, keys: list[SeriesKey], step: int, count: int) -> None:
        chunks = [(key, columns([(step, at, at / 2)] * count)) for at, key in enumerate(keys)]
        self.stores[which].append(chunks)
        self.twin.append(chunks)
        self.is_pending[which] = False
        self.note(chunks)

    @rule(which=_WHICH)
    def compact(self, which: int) -> None:
        self.stores[which].compact()
        self.was_merged = True

    @rule(which=_WHICH)
    def reopen(self, which: int) -> None:
        if self.stores[0] is not self.stores[1]:
            close(self.stores[which])
            self.stores[which] = self.open_store(self.folder)
            self.is_pending[which] = False

    @rule()
    def merge_all(self) -> None:
        self.reopen(0)
        self.reopen(1)
        for _ in range(2):
            self.stores[0].compact()
        # What was merged earlier may wait for more before it is merged with this.
        self.is_exact |= not self.was_merged
        self.was_merged = True

    @rule(which=_WHICH, key=_KEYS, first=st.none() | _STEPS, last=st.none() | _STEPS)
    def read(self, which: int, key: SeriesKey, first: int | None, last: int | None) -> None:
        self.settle()
        expected = self.twin.read(key, first=first, last=last)
        assert bits(self.stores[which].read(key, first=first, last=last)) == bits(expected)

    @rule(
        which=_WHICH,
        key=_KEYS,
        first=st.none() | _STEPS,
        last=st.none() | _STEPS,
        points=st.integers(1, 12) | st.integers(1, 300),
        by=st.sampled_from(["step", "order"]),
    )
    def curve(
        self,
        which: int,
        key: SeriesKey,
        first: int | None,
        last: int | None,
        points: int,
        by: Literal["step", "order"],
    ) -> None:
        self.settle()
        store = self.stores[which]
        curve = store.curve(key, points=points, first=first, last=last, by=by)
        expected = self.twin.curve(key, points=points, first=first, last=last, by=by)
        assert drawn(curve) == drawn(expected)

    @rule(which=_WHICH, limit=st.integers(1, 5) | st.just(1000))
    def follow(self, which: int, limit: int) -> None:
        self.take(which, limit)

    @rule(which=_WHICH, limit=st.integers(1, 5))
    def follow_to_the_end(self, which: int, limit: int) -> None:
        self.settle()
        while self.take(which, limit):
            pass
        told = {key: plain(summary) for key, summary in self.followed.items() if key != _LAST}
        assert told == self.expected()

    def take(self, which: int, limit: int) -> bool:
        """Follow the feed for one step; say whether there is more."""
        changes = self.stores[which].since(self.position, limit)
        assert changes.series or not changes.has_more
        self.position = changes.position
        for key, summary in changes.series.items():
            before = self.followed.get(key)
            self.followed[key] = together(before, summary) if before else summary
        return changes.has_more

    @invariant()
    def summaries_agree(self) -> None:
        if any(self.is_pending):
            return
        for store in self.stores:
            found = self.summaries(store)
            assert {key: plain(summary) for key, summary in found.items()} == self.expected()
            for key, summary in found.items():
                exact = len(memoryview(self.twin.read(key).steps))
                assert exact <= summary.count <= (exact if self.is_exact else self.appended[key])

    def note(self, chunks: Sequence[tuple[SeriesKey, Points]]) -> None:
        """Note what is appended: a summary may count what was appended twice, but no more."""
        for key, points in chunks:
            self.appended[key] += len(memoryview(points.steps))
        self.is_exact = False

    def summaries(self, store: Series) -> Mapping[SeriesKey, Summary]:
        return {
            SeriesKey(owner, name): summary
            for owner in ("a", "ab", "b")
            for name, summary in store.summaries(owner).items()
        }

    def expected(self) -> dict[SeriesKey, tuple[Any, ...]]:
        return {key: plain(summary) for key, summary in self.summaries(self.twin).items()}

    def settle(self) -> None:
        """Make every append durable: then all stores see it."""
        for which, is_pending in enumerate(self.is_pending):
            if is_pending:
                self.stores[which].append([(_LAST, columns([(0, 0, 0.0)]))])
        self.is_pending = [False, False]

    def teardown(self) -> None:
        for store in self.stores:
            assert list(store.verify()) == []
            close(store)
        shutil.rmtree(self.folder)


def run_series_histories(open_store: Callable[[Path], Series], *, shares: bool) -> None:
    """Run random histories; raise at the first answer that differs from the twin's."""
    run_state_machine_as_test(
        cast("Any", lambda: SeriesMachine(open_store, shares=shares)),
        settings=settings(
            max_examples=_HISTORIES, stateful_step_count=_STEPS_OF_HISTORY, deadline=None
        ),
    )
