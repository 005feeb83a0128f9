import threading
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Scope, TaskMove, TaskOverride
from trivet.core.ports import Stores, Task
from trivet.pipelines.requests import PAST, read_request
from trivet.testing.memory_stores import memory_stores
from trivet.triggers.backfills import BackfillsService, BackfillStatus

DAYS = ["day=2026-01-01..2026-01-06"]


@pytest.fixture
def backfills(stores: Stores, scope: Scope) -> BackfillsService:
    return BackfillsService(stores, scope)


def claim(stores: Stores) -> list[Task]:
    return list(stores.journal.claim(PAST, owner="runner", lease_s=60, limit=100))


def end(stores: Stores, scope: Scope, task: Task, state: str = "done", **result: Any) -> None:
    move = TaskMove(
        key=task.key,
        owner="runner",
        epoch=task.epoch,
        state=state,
        result=msgspec.json.encode(result),
    )
    stores.ledger.commit(scope.batch(state, tasks=[move]))


def work_off(stores: Stores, scope: Scope, backfills: BackfillsService) -> list[dict[str, Any]]:
    """Run everything to its end; return the parameters in the order they were run."""
    ran: list[dict[str, Any]] = []
    while backfills.look() or claim_some(stores, scope, ran):
        pass
    return ran


def claim_some(stores: Stores, scope: Scope, ran: list[dict[str, Any]]) -> bool:
    tasks = claim(stores)
    for task in tasks:
        ran.append(read_request(task.body).parameters)
        end(stores, scope, task)
    return bool(tasks)


def states(status: BackfillStatus) -> str:
    return "".join(item.state[0] for item in status.partitions)


def test_each_partition_runs_once_in_order_and_never_more_than_allowed(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    status = backfills.start("p:train", DAYS, parameters={"n": 3}, at_once=2)
    assert states(status) == "wwwwww"
    assert backfills.look() == 2
    assert backfills.look() == 0  # two are under way
    assert states(backfills.status(status.spec.name)) == "rrwwww"
    ran = work_off(stores, scope, backfills)
    assert ran == [{"n": 3, "day": f"2026-01-0{day}"} for day in range(1, 7)]
    after = backfills.status(status.spec.name)
    assert (states(after), after.is_over) == ("dddddd", True)
    assert not backfills.is_open(status.spec.name)
    assert backfills.look() == 0


def test_the_newest_comes_first_when_asked_for(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    backfills.start("p:train", ["month=2025-11..2026-01", "r=a,b"], newest_first=True)
    ran = work_off(stores, scope, backfills)
    assert [(item["month"], item["r"]) for item in ran][:3] == [
        ("2026-01", "b"),
        ("2026-01", "a"),
        ("2025-12", "b"),
    ]


def test_asking_again_goes_on_and_repeats_nothing(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    first = backfills.start("p:train", DAYS)
    backfills.look()
    (task,) = claim(stores)
    end(stores, scope, task)
    other = BackfillsService(stores, scope)  # another process, after a crash of the first
    again = other.start("p:train", DAYS, at_once=3)
    assert again.spec.name == first.spec.name
    assert states(again) == "dwwwww"
    assert len(work_off(stores, scope, other)) == 5
    assert states(other.start("p:train", DAYS, at_once=3)) == "dddddd"
    assert work_off(stores, scope, other) == []


def test_a_wider_range_is_another_back_fill(backfills: BackfillsService) -> None:
    names = {
        backfills.start("p:train", DAYS).spec.name,
        backfills.start("p:train", ["day=2026-01-01..2026-01-07"]).spec.name,
        backfills.start("p:train", DAYS, parameters={"n": 1}).spec.name,
        backfills.start("p:test", DAYS).spec.name,
    }
    assert len(names) == 4


def test_a_name_that_stands_for_something_else_is_refused(backfills: BackfillsService) -> None:
    backfills.start("p:train", DAYS, name="january")
    with pytest.raises(Conflict, match="over something else") as caught:
        backfills.start("p:test", DAYS, name="january")
    assert caught.value.hint


def test_what_failed_is_named_and_tried_again_alone(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    name = backfills.start("p:train", DAYS, at_once=6).spec.name
    backfills.look()
    for number, task in enumerate(claim(stores)):
        state = "failed" if number in {1, 4} else "done"
        output = "x\nerror: the run failed: ValueError: no rows\n  pipeline.py:3\nhint: mend it"
        end(stores, scope, task, state, exit_code=1, output=output)
    backfills.look()
    status = backfills.status(name)
    assert (states(status), status.is_over) == ("dfddfd", True)
    assert [p.reason for p in status.partitions if p.state == "failed"] == [
        "ValueError: no rows"
    ] * 2
    assert backfills.look() == 0  # not by itself
    assert states(backfills.start("p:train", DAYS, at_once=6)) == "dfddfd"  # nor by asking again
    assert states(backfills.retry_failed(name)) == "dwddwd"
    assert len(work_off(stores, scope, backfills)) == 2
    assert states(backfills.status(name)) == "dddddd"


def test_what_was_sent_again_by_hand_and_is_done_is_not_tried_again(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    name = backfills.start("p:train", DAYS, at_once=6).spec.name
    backfills.look()
    for task in claim(stores):
        end(stores, scope, task, "failed", output="x")
    before = backfills.status(name)
    by_hand = TaskOverride(key=before.partitions[0].task, state="ready")
    stores.ledger.commit(scope.batch("retry", tasks=[by_hand]))
    (again,) = claim(stores)
    end(stores, scope, again)
    assert states(backfills.status(name)) == "dfffff"
    backfills.retry_failed(name)
    work_off(stores, scope, backfills)
    after = backfills.status(name)
    assert states(after) == "dddddd"
    # The same tasks: a run goes on where it stood, and its effects are not repeated.
    assert [p.task for p in after.partitions] == [p.task for p in before.partitions]
    assert len(stores.journal.tasks(PAST)) == 6


def test_what_fails_once_more_waits_for_somebody_to_ask_again(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    name = backfills.start("p:train", DAYS, at_once=2).spec.name

    def fail_all() -> int:
        count = 0
        while backfills.look():
            tasks = claim(stores)
            assert len(tasks) == 2  # also when they are tried again
            for task in tasks:
                end(stores, scope, task, "failed", output="x")
            count += len(tasks)
        return count

    assert fail_all() == 6
    assert fail_all() == 0
    backfills.retry_failed(name)
    assert fail_all() == 6
    assert (fail_all(), states(backfills.status(name))) == (0, "ffffff")


def test_a_cancelled_one_begins_nothing_more_and_may_be_taken_up_again(
    backfills: BackfillsService, stores: Stores, scope: Scope
) -> None:
    name = backfills.start("p:train", DAYS, at_once=3).spec.name
    backfills.look()
    (running,) = stores.journal.claim(PAST, owner="runner", lease_s=60)
    status = backfills.cancel(name, "not needed")
    assert states(status) == "rccwww"
    assert not status.is_over  # what is under way goes on to its end
    end(stores, scope, running)
    assert backfills.look() == 0
    assert backfills.status(name).is_over
    assert states(backfills.start("p:train", DAYS, at_once=3)) == "dwwwww"
    assert len(work_off(stores, scope, backfills)) == 5
    assert states(backfills.status(name)) == "dddddd"


def test_imagining_records_nothing(backfills: BackfillsService, stores: Stores) -> None:
    before = stores.ledger.since(0)
    assert states(backfills.imagine("p:train", DAYS)) == "wwwwww"
    assert stores.ledger.since(0) == before
    assert backfills.all() == ()


def test_who_feeds_at_the_same_moment_asks_for_the_same(stores: Stores, scope: Scope) -> None:
    services = [BackfillsService(stores, scope) for _ in range(4)]
    name = services[0].start("p:train", DAYS, at_once=2).spec.name
    start = threading.Barrier(len(services))

    def feed(service: BackfillsService) -> None:
        start.wait()
        service.feed(name)

    people = [threading.Thread(target=feed, args=(service,)) for service in services]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(stores.journal.tasks(PAST)) == 2


@pytest.mark.parametrize("at_once", [2, 6])
def test_what_another_feeds_in_between_is_counted(
    stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    one, other = BackfillsService(stores, scope), BackfillsService(stores, scope)
    name = one.start("p:train", DAYS, at_once=at_once).spec.name
    tasks = stores.journal.tasks

    def be_overtaken(*args: Any, **options: Any) -> Any:
        found = tasks(*args, **options)
        monkeypatch.setattr(stores.journal, "tasks", tasks)
        other.feed(name)
        return found

    monkeypatch.setattr(stores.journal, "tasks", be_overtaken)
    one.feed(name)
    assert len(tasks(PAST)) == at_once
    assert one.is_open(name)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"over": []}, "over nothing"),
        ({"at_once": 0}, "expected 1 to 256"),
        ({"name": "Not A Name"}, "back-fill name"),
        ({"parameters": {"day": 1}}, "both gone over and set"),
    ],
)
def test_what_cannot_work_is_refused(
    backfills: BackfillsService, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        backfills.start(**({"flow": "p:train", "over": DAYS} | fields))
    with pytest.raises(NotFound, match="no back-fill is named"):
        backfills.status("nope")


class Filling(RuleBasedStateMachine):
    """Whatever happens, in whatever order: no partition is done twice, none is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.stores = memory_stores()
        self.scope = Scope(project="left", actor="ada")
        self.held: list[Task] = []
        self.done: list[str] = []
        self.service = BackfillsService(self.stores, self.scope)
        self.at_once = 2
        self.name = self.service.start("p:train", ["n=1..5"], at_once=2).spec.name

    @rule(at_once=st.integers(1, 3), newest_first=st.booleans())
    def ask_again(self, at_once: int, newest_first: bool) -> None:
        self.at_once = max(self.at_once, at_once)
        self.service.start("p:train", ["n=1..5"], at_once=at_once, newest_first=newest_first)

    @rule()
    def crash(self) -> None:
        self.service = BackfillsService(self.stores, self.scope)

    @rule()
    def look(self) -> None:
        self.service.look()

    @rule()
    def cancel(self) -> None:
        self.service.cancel(self.name, "enough")

    @rule()
    def retry(self) -> None:
        self.service.retry_failed(self.name)

    @rule(what=st.sampled_from(["failed", "cancelled"]))
    def somebody_sends_one_again(self, what: Any) -> None:
        tasks = self.stores.journal.tasks(PAST)
        under_way = sum(task.state in {"ready", "running"} for task in tasks)
        for task in [task for task in tasks if task.state == what][: self.at_once - under_way]:
            override = TaskOverride(key=task.key, state="ready")
            self.stores.ledger.commit(self.scope.batch("by hand", tasks=[override]))

    @rule()
    def another_feeds_at_the_same_moment(self) -> None:
        other = BackfillsService(self.stores, self.scope)
        whole = other._batch_of

        def batch_of(*given: Any) -> Any:
            batch = whole(*given)
            self.service.look()
            return batch

        other._batch_of = batch_of  # type: ignore[method-assign]
        other.look()

    @rule()
    def take(self) -> None:
        self.held += self.stores.journal.claim(PAST, owner="runner", lease_s=600)

    @precondition(lambda self: self.held)
    @rule(fails=st.booleans())
    def finish(self, fails: bool) -> None:
        task = self.held.pop(0)
        end(self.stores, self.scope, task, "failed" if fails else "done", output="x")
        if not fails:
            self.done.append(str(read_request(task.body).parameters["n"]))

    @invariant()
    def nothing_is_done_twice(self) -> None:
        assert len(set(self.done)) == len(self.done)

    @invariant()
    def no_more_than_allowed_are_under_way(self) -> None:
        tasks = self.stores.journal.tasks(PAST)
        assert sum(task.state in {"ready", "running"} for task in tasks) <= self.at_once

    def teardown(self) -> None:
        while self.held:
            self.finish(fails=False)
        self.service.retry_failed(self.name)
        while self.service.look() or self.stores.journal.tasks(PAST, state="ready"):
            self.take()
            while self.held:
                self.finish(fails=False)
        assert sorted(self.done) == ["1", "2", "3", "4", "5"]
        assert self.service.status(self.name).is_over


TestFilling = Filling.TestCase
TestFilling.settings = settings(max_examples=60, stateful_step_count=30)
