"""Whatever happens in whatever order: one run for one mark, no budget overrun, always a reason."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from trivet.core.clock import EventClock
from trivet.core.errors import Unavailable
from trivet.core.facts import Batch, Receipt, Scope, TaskMove
from trivet.core.ports import Ledger, Listed
from trivet.pipelines.requests import QUEUE
from trivet.testing.memory_stores import memory_stores
from trivet.triggers.facts import Firing
from trivet.triggers.seeing import World
from trivet.triggers.service import TriggersService

START = datetime(2026, 3, 28, tzinfo=UTC)
WEEK = timedelta(days=7)
PER_WEEK, COOLDOWN_S, DEBOUNCE_S = 3, 3600.0, 600.0
NAMES = ("feed", "nightly", "hourly")


class Crash(BaseException):
    """A process that is killed."""


def die() -> None:
    raise Crash


def go_on() -> None:
    pass


class Fragile:
    """A ledger in which something happens before or after the next commit, when it is told to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.before: Callable[[], object] = go_on
        self.after: Callable[[], object] = go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def commit(self, batch: Batch) -> Receipt:
        before, after, self.before, self.after = self.before, self.after, go_on, go_on
        before()
        receipt = self._ledger.commit(batch)
        after()
        return receipt


class Objects:
    """A bucket."""

    def __init__(self) -> None:
        self.stamps: dict[str, str] = {}
        self.is_away = False

    def list(self, place: str, *, deep: bool = True) -> Iterator[Listed]:
        if self.is_away:
            raise Unavailable("the store did not answer")
        return iter([Listed(name, 1, stamp) for name, stamp in self.stamps.items()])


class Triggers(RuleBasedStateMachine):
    """Two watchers over one workspace, a clock, a bucket, runs that end or do not."""

    @initialize()
    def begin(self) -> None:
        memory = memory_stores()
        self.ledger = Fragile(memory.ledger)
        self.stores = replace(memory, ledger=self.ledger)
        self.scope = Scope(project="left", actor="ada")
        self.clock = EventClock(START)
        self.bucket = Objects()
        self.count = 0
        self.acted: set[tuple[str, str]] = set()
        self.services = [self.service(), self.service()]
        limits: Any = {"per_week": PER_WEEK, "cooldown_s": COOLDOWN_S}
        first = self.services[0]
        first.when("feed", "bucket", do="p:f", watch="s3://c/in", debounce_s=DEBOUNCE_S, **limits)
        zone = "Europe/Berlin"
        first.when("nightly", "cron", do="p:f", watch="30 2 * * *", zone=zone, **limits)
        first.when("hourly", "schedule", do="p:f", watch="3600", **limits)

    def service(self) -> TriggersService:
        world = World(listings={"bucket": self.bucket})
        return TriggersService(self.stores, self.scope, self.clock, world)

    @rule(changes=st.booleans())
    def event(self, changes: bool) -> None:
        self.count += 1
        name = "a.csv" if changes else f"{self.count}.csv"
        self.bucket.stamps[name] = str(self.count)
        self.services[0].wake("feed")

    @rule(age=st.integers(1, 5))
    def something_comes_back(self, age: int) -> None:
        self.bucket.stamps["a.csv"] = str(max(1, self.count - age))

    @rule()
    def something_goes_away(self) -> None:
        if self.bucket.stamps:
            self.bucket.stamps.popitem()

    @rule(away=st.booleans())
    def the_store_answers_or_not(self, away: bool) -> None:
        self.bucket.is_away = away

    def look_as(self, who: int) -> None:
        """Look; what fires for the bucket must have found something that it did not act on."""
        known = len(self.decisions())
        new = set(self.bucket.stamps.items()) - self.acted
        try:
            self.services[who].look()
        except Crash:
            self.services[who] = self.service()
        self.ledger.before = self.ledger.after = go_on
        for firing in self.decisions()[known:]:
            if firing.trigger == "feed" and firing.outcome == "fired":
                assert new
                self.acted = set(self.bucket.stamps.items())

    @rule(who=st.integers(0, 1))
    def look(self, who: int) -> None:
        self.look_as(who)

    @rule(
        who=st.integers(0, 1),
        minutes=st.sampled_from([5, 59, 61, 1440]),
        ends=st.booleans(),
        what=st.sampled_from(["arrives", "changes", "goes", "comes back"]),
    )
    def turn(self, who: int, minutes: int, ends: bool, what: str) -> None:
        """Something happens in the bucket, some time, a look, and perhaps the end of the run."""
        if what == "goes":
            self.something_goes_away()
        elif what == "comes back":
            self.something_comes_back(1)
        else:
            self.event(changes=what == "changes")
        self.look_as(who)
        self.time_goes_by(minutes)
        self.look_as(who)
        if ends:
            self.runs_end(3)

    @rule(who=st.integers(0, 1))
    def look_at_woken(self, who: int) -> None:
        service = self.services[who]
        whole, service.look = service.look, service.look_at_woken
        try:
            self.look_as(who)
        finally:
            service.look = whole

    @rule(who=st.integers(0, 1))
    def crash_before_the_record(self, who: int) -> None:
        self.ledger.before = die
        self.look_as(who)

    @rule(who=st.integers(0, 1))
    def crash_after_the_record(self, who: int) -> None:
        self.ledger.after = die
        self.look_as(who)

    @rule(who=st.integers(0, 1))
    def another_watcher_is_quicker(self, who: int) -> None:
        self.ledger.before = self.services[1 - who].look
        self.look_as(who)

    @rule(minutes=st.sampled_from([1, 9, 11, 61, 600, 1441, 5000]))
    def time_goes_by(self, minutes: int) -> None:
        self.clock.move_to(self.clock.now() + timedelta(minutes=minutes))

    @rule(name=st.sampled_from(NAMES), paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:
        self.services[0].pause(name, paused=paused)

    @rule(name=st.sampled_from(NAMES), n=st.integers(0, 2))
    def edit(self, name: str, n: int) -> None:
        self.services[1].edit(name, parameters={"n": n})

    @rule()
    def lose_the_notes(self) -> None:
        self.stores.views.remove("trigger-notes", {"project": self.scope.project})

    @rule(limit=st.integers(1, 3))
    def runs_end(self, limit: int) -> None:
        for task in self.stores.journal.claim(QUEUE, owner="r", lease_s=1e6, limit=limit):
            move = TaskMove(key=task.key, owner="r", epoch=task.epoch, state="done")
            self.stores.ledger.commit(self.scope.batch("done", tasks=[move]))

    @rule(name=st.sampled_from(NAMES))
    def explain(self, name: str) -> None:
        before = len(self.stores.ledger.since(0))
        would = self.services[0].explain(name)
        assert would.reason
        assert len(self.stores.ledger.since(0)) == before
        if would.would_fire:
            known = len(self.decisions())
            self.look_as(0)
            fired = {f.trigger for f in self.decisions()[known:] if f.outcome == "fired"}
            assert name in fired  # what it says it would do is what it does

    def decisions(self) -> list[Firing]:
        entries = self.stores.ledger.find(Firing.KIND, limit=1000, newest_first=False).entries
        return [msgspec.json.decode(entry.payload or b"", type=Firing) for entry in entries]

    @invariant()
    def one_mark_asks_for_one_run(self) -> None:
        tasks = [f.task for f in self.decisions() if f.task]
        assert len(set(tasks)) == len(tasks)
        keys = {task.key for task in self.stores.journal.tasks(QUEUE, limit=1000)}
        assert keys == {f"left/{task}" for task in tasks}

    @invariant()
    def no_limit_is_overrun(self) -> None:
        for name in NAMES:
            at = [f.event_time for f in self.decisions() if f.trigger == name and f.task]
            for number, instant in enumerate(at):
                assert (
                    sum(instant - WEEK < other <= instant for other in at[: number + 1]) <= PER_WEEK
                )
                if number:
                    assert (instant - at[number - 1]).total_seconds() >= COOLDOWN_S

    @invariant()
    def a_refusal_that_stands_is_said_once(self) -> None:
        for name in NAMES:
            said = [(f.outcome, f.reason) for f in self.decisions() if f.trigger == name]
            assert all(reason for _, reason in said)
            pairs = pairwise(said)
            assert not any(one == two and one[0] == "held" for one, two in pairs)

    def teardown(self) -> None:
        """Once everything is quiet and the limits let go, what is there has been acted on."""
        if not hasattr(self, "services"):
            return
        self.bucket.is_away = False
        service = self.services[0]
        for name in NAMES:
            service.pause(name, paused=False)
        for _ in range(4):
            self.clock.move_to(self.clock.now() + timedelta(days=8))
            while self.stores.journal.tasks(QUEUE, state="ready"):
                self.runs_end(3)
            self.look_as(0)
        assert service.explain("feed").mark is None
        assert set(self.bucket.stamps.items()) <= self.acted


TestTriggers = Triggers.TestCase
TestTriggers.settings = settings(max_examples=100, stateful_step_count=40)
