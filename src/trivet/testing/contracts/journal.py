"""What every `Journal` does. Subclass `JournalContract` and say how a folder's store is opened."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Claim, Limit, TaskMove, TaskNew, TaskOverride
from trivet.core.ports import Task
from trivet.testing.contracts.journal_machine import run_journal_histories
from trivet.testing.contracts.trio import SCOPE, Note, OnTrio, OpenStores, Trio, note
from trivet.testing.processes import PROCESSES, run_together

QUEUE = "steps"
LONG_S = 3600.0
OVER_S = 0.0
"""A lease that is over at once: takeovers without waiting."""


def add(stores: Trio, *keys: str, **options: Any) -> None:
    """Put tasks into the queue, each in a commit of its own."""
    for key in keys:
        fields: dict[str, Any] = {"key": key, "queue": QUEUE, "body": key.encode()}
        new = TaskNew(**(fields | options))
        stores.ledger.commit(SCOPE.batch("work", tasks=[new]))


def claim(stores: Trio, owner: str = "ann", lease_s: float = LONG_S) -> Task:
    """Claim exactly one task."""
    (task,) = stores.journal.claim(QUEUE, owner=owner, lease_s=lease_s)
    return task


def move(stores: Trio, task: Task, state: str, **changes: Any) -> None:
    """Lead a claimed task into its next state, with a fact as its effect."""
    fields: dict[str, Any] = {"key": task.key, "owner": task.owner, "epoch": task.epoch}
    fields |= {"state": state} | changes
    step = TaskMove(**fields)
    stores.ledger.commit(SCOPE.batch("step", [note(task.key)], tasks=[step]))


def override(stores: Trio, key: str, state: Literal["cancelled", "ready"]) -> None:
    """Decide about a task, whoever holds it."""
    stores.ledger.commit(SCOPE.batch("decided", tasks=[TaskOverride(key=key, state=state)]))


def drain(open_stores: OpenStores, folder: Path, owner: str, lease_s: float) -> list[str]:
    """Claim and finish tasks until none is left; return the keys of those that were finished."""
    stores = open_stores(folder)
    finished: list[str] = []
    while tasks := stores.journal.claim(QUEUE, owner=owner, lease_s=lease_s, limit=2):
        for task in tasks:
            try:
                move(stores, task, "done", result=owner.encode())
            except Conflict:
                continue
            finished.append(task.key)
    stores.close()
    return finished


class JournalContract(OnTrio):
    """The suite; `stores` is a fresh store per test."""

    # --------------------------------------------------------------- claim

    def test_a_new_task_waits_until_it_is_claimed(self, stores: Trio) -> None:
        add(stores, "a")
        waiting = stores.journal.task("a")
        assert waiting == Task(
            key="a", queue=QUEUE, body=b"a", state="ready", attempts=0, max_attempts=3, epoch=0
        )
        task = claim(stores)
        assert (task.state, task.owner, task.epoch, task.attempts) == ("running", "ann", 1, 1)
        assert task.leased_until is not None
        assert task.leased_until > datetime.now(UTC) + timedelta(seconds=LONG_S - 600)
        assert stores.journal.task("a") == task
        assert stores.journal.claim(QUEUE, owner="bob", lease_s=LONG_S) == ()

    def test_a_key_that_exists_leaves_the_older_task_as_it_is(self, stores: Trio) -> None:
        add(stores, "a")
        add(stores, "a", body=b"other", max_attempts=9)
        task = stores.journal.task("a")
        assert task is not None
        assert (task.body, task.max_attempts) == (b"a", 3)
        assert len(stores.journal.tasks(QUEUE)) == 1

    def test_the_oldest_due_tasks_come_first(self, stores: Trio) -> None:
        now = datetime.now(UTC)
        add(stores, "third", "fourth")
        add(stores, "second", due=now - timedelta(hours=1))
        add(stores, "first", due=now - timedelta(hours=2))
        add(stores, "later", due=now + timedelta(hours=1))
        add(stores, "elsewhere", queue="other")
        claimed = stores.journal.claim(QUEUE, owner="ann", lease_s=LONG_S, limit=3)
        assert [task.key for task in claimed] == ["first", "second", "third"]
        rest = stores.journal.claim(QUEUE, owner="ann", lease_s=LONG_S, limit=9)
        assert [task.key for task in rest] == ["fourth"]
        assert [t.key for t in stores.journal.claim("other", owner="ann", lease_s=1)] == [
            "elsewhere"
        ]

    def test_an_expired_lease_is_taken_over_and_its_owner_fenced_out(self, stores: Trio) -> None:
        add(stores, "a")
        slow = claim(stores, "slow", OVER_S)
        quick = claim(stores, "quick")
        assert (quick.key, quick.epoch, quick.attempts) == ("a", slow.epoch + 1, 2)
        _fenced(lambda: move(stores, slow, "done"))
        _fenced(lambda: stores.journal.extend(slow, LONG_S))
        assert stores.ledger.since(0) == ()
        move(stores, quick, "done")
        assert len(stores.ledger.since(0)) == 1

    def test_a_task_whose_attempts_are_used_up_turns_failed(self, stores: Trio) -> None:
        add(stores, "a", max_attempts=2)
        claim(stores, "ann", OVER_S)
        claim(stores, "bob", OVER_S)
        assert stores.journal.claim(QUEUE, owner="cy", lease_s=LONG_S) == ()
        task = stores.journal.task("a")
        assert task is not None
        assert (task.state, task.attempts) == ("failed", 2)
        assert stores.journal.claim(QUEUE, owner="cy", lease_s=LONG_S) == ()

    def test_a_used_up_task_does_not_stand_before_others(self, stores: Trio) -> None:
        add(stores, "poison", max_attempts=1)
        claim(stores, "ann", OVER_S)
        add(stores, "fine")
        assert claim(stores).key == "fine"

    # ---------------------------------------------------------- transitions

    @pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
    def test_an_ended_task_keeps_its_result_and_is_not_claimed_again(
        self, stores: Trio, state: str
    ) -> None:
        add(stores, "a")
        move(stores, claim(stores, lease_s=OVER_S), state, result=b"42")
        task = stores.journal.task("a")
        assert task is not None
        assert (task.state, task.result, task.leased_until) == (state, b"42", None)
        assert stores.journal.claim(QUEUE, owner="bob", lease_s=LONG_S) == ()

    def test_a_task_that_is_ready_again_waits_for_its_time(self, stores: Trio) -> None:
        add(stores, "now", "later")
        first, second = stores.journal.claim(QUEUE, owner="ann", lease_s=LONG_S, limit=2)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        move(stores, first, "ready")
        move(stores, second, "ready", due=tomorrow)
        again = claim(stores, "bob")
        assert (again.key, again.epoch, again.attempts) == ("now", 2, 2)
        later = stores.journal.task("later")
        assert later is not None
        assert (later.state, later.owner, later.due) == ("ready", None, tomorrow)

    @pytest.mark.parametrize("change", [{"owner": "eve"}, {"epoch": 2}, {"epoch": 0}])
    def test_a_write_without_the_lease_refuses_the_whole_batch(
        self, stores: Trio, change: dict[str, Any]
    ) -> None:
        add(stores, "a")
        task = claim(stores)
        _fenced(lambda: move(stores, task, "done", **change))
        assert stores.ledger.since(0) == ()
        assert stores.journal.task("a") == task

    def test_the_same_end_again_changes_nothing(self, stores: Trio) -> None:
        add(stores, "a")
        task = claim(stores)
        move(stores, task, "done", result=b"42")
        ended = stores.journal.task("a")
        move(stores, task, "done", result=b"42")
        assert stores.journal.task("a") == ended
        _fenced(lambda: move(stores, task, "done", result=b"43"))
        _fenced(lambda: move(stores, task, "failed", result=b"42"))

    def test_a_waiting_task_can_be_cancelled_by_its_epoch(self, stores: Trio) -> None:
        add(stores, "a")
        waiting = stores.journal.task("a")
        assert waiting is not None
        _fenced(lambda: move(stores, waiting, "cancelled", owner="ann", epoch=1))
        _fenced(lambda: move(stores, waiting, "done", owner="ann"))
        move(stores, waiting, "cancelled", owner="ann")
        assert stores.journal.claim(QUEUE, owner="bob", lease_s=LONG_S) == ()

    def test_unknown_tasks_and_states_are_refused(self, stores: Trio) -> None:
        ghost = Task(
            key="x",
            queue=QUEUE,
            body=b"",
            state="running",
            attempts=1,
            max_attempts=1,
            epoch=1,
            owner="ann",
        )
        with pytest.raises(NotFound):
            move(stores, ghost, "done")
        with pytest.raises(Invalid):
            move(stores, ghost, "sleeping")
        assert stores.journal.task("x") is None

    def test_an_owner_can_prolong_its_lease(self, stores: Trio) -> None:
        add(stores, "a")
        task = claim(stores, lease_s=OVER_S)
        extended = stores.journal.extend(task, LONG_S)
        assert (extended.epoch, extended.owner) == (task.epoch, task.owner)
        assert stores.journal.claim(QUEUE, owner="bob", lease_s=LONG_S) == ()
        move(stores, extended, "done")
        _fenced(lambda: stores.journal.extend(extended, LONG_S))

    def test_a_task_may_be_begun_by_whoever_adds_it(self, stores: Trio) -> None:
        add(stores, "a", claim=Claim("ann", LONG_S))
        task = stores.journal.task("a")
        assert task is not None
        assert (task.state, task.owner, task.epoch, task.attempts) == ("running", "ann", 1, 1)
        assert stores.journal.claim(QUEUE, owner="bob", lease_s=LONG_S) == ()
        add(stores, "a", claim=Claim("eve", LONG_S))
        assert stores.journal.task("a") == task
        move(stores, task, "done")

    def test_a_batch_may_ask_that_its_writer_still_holds_the_task(self, stores: Trio) -> None:
        add(stores, "a")
        slow = claim(stores, "slow", OVER_S)
        before = stores.journal.task("a")
        move(stores, slow, "running")
        assert stores.journal.task("a") == before
        assert len(stores.ledger.since(0)) == 1
        quick = claim(stores, "quick")
        _fenced(lambda: move(stores, slow, "running"))
        assert len(stores.ledger.since(0)) == 1
        move(stores, quick, "done")
        _fenced(lambda: move(stores, quick, "running"))

    def test_an_attempt_that_is_refunded_does_not_count(self, stores: Trio) -> None:
        add(stores, "a", max_attempts=1)
        move(stores, claim(stores), "ready", is_refunded=True)
        again = claim(stores)
        assert (again.attempts, again.epoch) == (1, 2)
        move(stores, again, "ready")
        assert stores.journal.claim(QUEUE, owner="ann", lease_s=LONG_S) == ()

    # ------------------------------------------------------------ overrides

    @pytest.mark.parametrize("is_running", [True, False])
    def test_a_cancelled_task_fences_its_holder_and_is_not_claimed(
        self, stores: Trio, *, is_running: bool
    ) -> None:
        add(stores, "a")
        holder = claim(stores) if is_running else stores.journal.task("a")
        assert holder is not None
        override(stores, "a", "cancelled")
        task = stores.journal.task("a")
        assert task is not None
        assert (task.state, task.owner, task.leased_until) == ("cancelled", None, None)
        _fenced(lambda: move(stores, holder, "done", owner=holder.owner or "ann"))
        _fenced(lambda: stores.journal.extend(holder, LONG_S))
        assert stores.journal.claim(QUEUE, owner="bob", lease_s=LONG_S) == ()
        override(stores, "a", "cancelled")
        assert stores.journal.task("a") == task

    def test_a_dead_letter_can_be_sent_again_with_all_its_attempts(self, stores: Trio) -> None:
        add(stores, "a", max_attempts=1)
        move(stores, claim(stores), "failed", result=b"why")
        override(stores, "a", "ready")
        again = claim(stores)
        assert (again.attempts, again.epoch, again.result) == (1, 3, None)
        override(stores, "a", "ready")
        assert stores.journal.task("a") == again
        move(stores, again, "done")
        override(stores, "a", "ready")
        override(stores, "a", "cancelled")
        done = stores.journal.task("a")
        assert done is not None
        assert done.state == "done"

    def test_an_unknown_task_cannot_be_overridden(self, stores: Trio) -> None:
        with pytest.raises(NotFound):
            override(stores, "ghost", "cancelled")

    # --------------------------------------------------------------- limits

    def test_no_more_tasks_of_a_name_run_than_its_limit_allows(self, stores: Trio) -> None:
        add(stores, "a", "b", "c", limit=Limit("warehouse", 2))
        add(stores, "elsewhere", queue="other", limit=Limit("warehouse", 2))
        add(stores, "free")
        claimed = stores.journal.claim(QUEUE, owner="ann", lease_s=LONG_S, limit=9)
        assert [task.key for task in claimed] == ["a", "b", "free"]
        assert claimed[0].limit == Limit("warehouse", 2)
        assert stores.journal.claim("other", owner="bob", lease_s=LONG_S) == ()
        move(stores, claimed[0], "done")
        assert [t.key for t in stores.journal.claim("other", owner="bob", lease_s=OVER_S)] == [
            "elsewhere"
        ]
        # A holder whose lease is over counts no more.
        assert claim(stores).key == "c"

    def test_a_limit_that_lets_nothing_run_is_refused(self, stores: Trio) -> None:
        with pytest.raises(Invalid):
            add(stores, "a", limit=Limit("warehouse", 0))
        assert stores.journal.task("a") is None

    def test_tasks_are_listed_newest_first(self, stores: Trio) -> None:
        add(stores, "a", "b", "c")
        add(stores, "d", queue="other")
        claim(stores)
        keys = [task.key for task in stores.journal.tasks()]
        assert keys == ["d", "c", "b", "a"]
        assert [task.key for task in stores.journal.tasks(QUEUE, limit=2)] == ["c", "b"]
        assert [task.key for task in stores.journal.tasks(state="running")] == ["a"]
        assert [task.key for task in stores.journal.tasks(QUEUE, state="ready")] == ["c", "b"]

    def test_any_history_agrees_with_a_simple_model(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        run_journal_histories(lambda: type(self).open_stores(tmp_path_factory.mktemp("history")))

    # --------------------------------------------------------- named leases

    def test_one_owner_at_a_time_holds_a_named_lease(self, stores: Trio) -> None:
        lease = stores.journal.lease
        assert lease("leader", owner="ann", lease_s=LONG_S) == 1
        assert lease("leader", owner="bob", lease_s=LONG_S) is None
        assert lease("leader", owner="ann", lease_s=LONG_S) == 1
        assert lease("other", owner="bob", lease_s=LONG_S) == 1

    def test_a_lease_that_ended_gets_a_higher_epoch(self, stores: Trio) -> None:
        lease = stores.journal.lease
        assert lease("leader", owner="ann", lease_s=OVER_S) == 1
        assert lease("leader", owner="bob", lease_s=OVER_S) == 2
        assert lease("leader", owner="bob", lease_s=LONG_S) == 3
        assert lease("leader", owner="ann", lease_s=LONG_S) is None

    # ------------------------------------------------ many at the same time

    def test_four_processes_never_claim_a_task_twice(self, tmp_path: Path) -> None:
        finished, stores = self._drained(tmp_path, LONG_S)
        assert sorted(finished) == sorted(f"task-{number:02d}" for number in range(40))
        assert {task.attempts for task in stores.journal.tasks(QUEUE)} == {1}
        stores.close()

    def test_leases_that_end_too_soon_still_give_one_effect_per_task(self, tmp_path: Path) -> None:
        finished, stores = self._drained(tmp_path, OVER_S)
        tasks = stores.journal.tasks(QUEUE)
        done = [task.key for task in tasks if task.state == "done"]
        assert sorted(finished) == sorted(done)
        assert len(stores.ledger.find(Note.KIND, limit=1000).entries) == len(done)
        assert {task.state for task in tasks} <= {"done", "failed"}
        stores.close()

    def _drained(self, tmp_path: Path, lease_s: float) -> tuple[list[str], Trio]:
        self.needs_processes()
        opener, folder = type(self).open_stores, tmp_path / "stores"
        stores = opener(folder)
        new = [
            TaskNew(key=f"task-{number:02d}", queue=QUEUE, body=b"", max_attempts=50)
            for number in range(40)
        ]
        stores.ledger.commit(SCOPE.batch("work", tasks=new))
        owners = [(opener, folder, f"owner-{n}", lease_s) for n in range(PROCESSES)]
        return [key for keys in run_together(drain, owners) for key in keys], stores


def _fenced(action: Any) -> None:
    with pytest.raises(Conflict) as caught:
        action()
    assert caught.value.code == "fenced"
