"""Random histories of a journal, compared step by step with the simplest possible model."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from trivet.core.errors import Conflict
from trivet.core.facts import Claim, Limit, TaskMove, TaskNew, TaskOverride
from trivet.core.ports import Task
from trivet.testing.contracts.trio import SCOPE, Note, Trio, note

T = TypeVar("T")
_KEYS = st.sampled_from([f"task-{number}" for number in range(6)])
_QUEUES = st.sampled_from(["a", "b"])
_OWNERS = st.sampled_from(["ann", "bob"])
_LIMITS = st.sampled_from([None, Limit("narrow", 1), Limit("wide", 2)])
_ENDS = st.sampled_from(["done", "failed", "ready", "cancelled", "running"])
_LONG_S = 3600.0
_HISTORIES = 25
_STEPS = 40


class JournalMachine(RuleBasedStateMachine):
    """Keeps every task as it must be, and which holder may still write.

    Leases are either over at once or longer than the test, so that no clock is needed.
    """

    def __init__(self, open_stores: Callable[[], Trio]) -> None:
        super().__init__()
        self.stores = open_stores()
        self.tasks: dict[str, Task] = {}
        self.over: set[str] = set()
        """Keys of running tasks whose lease is over."""
        self.holders: list[Task] = []
        """Every claim there ever was: most of them are stale."""
        self.written = 0

    @rule(key=_KEYS, queue=_QUEUES, limit=_LIMITS, owner=st.none() | _OWNERS)
    def add(self, key: str, queue: str, limit: Limit | None, owner: str | None) -> None:
        claim = Claim(owner, _LONG_S) if owner else None
        new = TaskNew(key=key, queue=queue, body=b"x", max_attempts=3, limit=limit, claim=claim)
        self.stores.ledger.commit(SCOPE.batch("add", tasks=[new]))
        if key in self.tasks:
            return
        task = Task(
            key=key,
            queue=queue,
            body=b"x",
            state="running" if owner else "ready",
            attempts=1 if owner else 0,
            max_attempts=3,
            epoch=1 if owner else 0,
            owner=owner,
            limit=limit,
        )
        self.tasks[key] = task
        if owner:
            self.holders.append(task)

    @rule(queue=_QUEUES, owner=_OWNERS, is_short=st.booleans(), limit=st.integers(1, 3))
    def claim(self, queue: str, owner: str, limit: int, *, is_short: bool) -> None:
        lease_s = 0.0 if is_short else _LONG_S
        claimed = self.stores.journal.claim(queue, owner=owner, lease_s=lease_s, limit=limit)
        open_tasks = [task for task in self.tasks.values() if self._can_be_taken(task, queue)]
        for task in open_tasks:
            if task.attempts >= task.max_attempts:
                self.tasks[task.key] = replace(task, state="failed")
        assert len({task.key for task in claimed}) == len(claimed) <= limit
        for task in claimed:
            before = self.tasks[task.key]
            assert self._can_be_taken(before, queue), f"{task.key} was not to be had"
            assert before.attempts < before.max_attempts
            after = replace(
                before,
                state="running",
                attempts=before.attempts + 1,
                epoch=before.epoch + 1,
                owner=owner,
            )
            assert _bare(task) == after
            self.tasks[task.key] = after
            self.over.discard(task.key)
            assert self._held(before.limit) <= (before.limit.at_once if before.limit else 99)
            self.holders.append(after)
        if len(claimed) < limit:
            assert not [t for t in self.tasks.values() if self._is_left(t, queue, claimed)]
        if is_short:
            self.over.update(task.key for task in claimed)

    @rule(pick=st.integers(0, 10**6), state=_ENDS, is_refunded=st.booleans())
    def move(self, pick: int, state: str, *, is_refunded: bool) -> None:
        if not self.holders:
            return
        holder = self.holders[pick % len(self.holders)]
        move = TaskMove(
            key=holder.key,
            owner=holder.owner or "",
            epoch=holder.epoch,
            state=state,
            is_refunded=is_refunded,
        )
        task = self.tasks[holder.key]
        held = (task.owner, task.epoch) == (holder.owner, holder.epoch)
        # One that waits may be cancelled by whoever names its epoch.
        is_waiting = (task.state, task.epoch, state) == ("ready", holder.epoch, "cancelled")
        allowed = is_waiting or (held and task.state in {"running", state})
        batch = SCOPE.batch("move", [note(holder.key)], tasks=[move])
        moved = _unless_fenced(lambda: self.stores.ledger.commit(batch))
        assert (moved is not None) == allowed, "a late writer was not fenced, or the holder was"
        self.written += allowed
        if not allowed:
            return
        if is_waiting or (task.state == "running" and state != "running"):
            is_ready = state == "ready"
            self.tasks[task.key] = replace(
                task,
                state=cast("Any", state),
                attempts=task.attempts - (is_ready and is_refunded),
                owner=None if is_ready else holder.owner,
            )
            self.over.discard(task.key)

    @rule(pick=st.integers(0, 10**6))
    def extend(self, pick: int) -> None:
        if not self.holders:
            return
        holder = self.holders[pick % len(self.holders)]
        task = self.tasks[holder.key]
        held = (task.owner, task.epoch, task.state) == (holder.owner, holder.epoch, "running")
        extended = _unless_fenced(lambda: self.stores.journal.extend(holder, _LONG_S))
        assert (extended is not None) == held
        if extended is not None:
            assert _bare(extended) == task
            self.over.discard(task.key)

    @rule(key=_KEYS, state=st.sampled_from(["cancelled", "ready"]))
    def override(self, key: str, state: Literal["cancelled", "ready"]) -> None:
        task = self.tasks.get(key)
        if task is None:
            return
        change = TaskOverride(key=key, state=state)
        self.stores.ledger.commit(SCOPE.batch("override", tasks=[change]))
        freed = replace(task, epoch=task.epoch + 1, owner=None, state=state)
        if state == "cancelled" and task.state in {"ready", "running"}:
            self.tasks[key] = freed
        elif state == "ready" and task.state in {"failed", "cancelled"}:
            self.tasks[key] = replace(freed, attempts=0)
        self.over.discard(key) if self.tasks[key] is not task else None

    @invariant()
    def every_task_is_as_the_model_says(self) -> None:
        found = {task.key: _bare(task) for task in self.stores.journal.tasks(limit=1000)}
        assert found == self.tasks

    @invariant()
    def a_refused_batch_wrote_nothing(self) -> None:
        entries = self.stores.ledger.find(Note.KIND, limit=1000).entries
        assert len(entries) == min(self.written, 1000)

    def teardown(self) -> None:
        self.stores.close()

    def _can_be_taken(self, task: Task, queue: str) -> bool:
        is_open = task.state == "ready" or (task.state == "running" and task.key in self.over)
        return task.queue == queue and is_open

    def _is_left(self, task: Task, queue: str, claimed: tuple[Task, ...]) -> bool:
        """Say whether a task was to be had and was not taken, although there was room."""
        if not self._can_be_taken(task, queue) or task.key in {item.key for item in claimed}:
            return False
        return task.limit is None or self._held(task.limit) < task.limit.at_once

    def _held(self, limit: Limit | None) -> int:
        return sum(
            task.limit == limit and task.state == "running" and task.key not in self.over
            for task in self.tasks.values()
            if limit is not None
        )


def _unless_fenced(action: Callable[[], T]) -> T | None:
    try:
        return action()
    except Conflict as error:
        if error.code != "fenced":
            raise
        return None


def _bare(task: Task) -> Task:
    """Leave out what only a clock can say, and what the model does not follow."""
    return replace(task, leased_until=None, due=None, result=None)


def run_journal_histories(open_stores: Callable[[], Trio]) -> None:
    """Run random histories, each against a fresh store."""
    run_state_machine_as_test(
        cast("Any", lambda: JournalMachine(open_stores)),
        settings=settings(max_examples=_HISTORIES, stateful_step_count=_STEPS, deadline=None),
    )
