"""A journal in a dictionary."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from trivet.core.ports import Task, TaskState
from trivet.core.tasks import TaskChange, change_task, claimed, fenced, ready_at
from trivet.testing.memory_state import MemoryState


class MemoryJournal:
    """A `Journal` in a dictionary."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def claim(self, queue: str, *, owner: str, lease_s: float, limit: int = 1) -> tuple[Task, ...]:
        state = self._state
        taken: list[Task] = []
        with state.transaction():
            now = state.clock.now()
            for task in _due(state, queue, now):
                if task.attempts >= task.max_attempts:
                    state.set(
                        state.tasks, task.key, replace(task, state="failed", leased_until=None)
                    )
            for task in _due(state, queue, now):
                if len(taken) < limit and not _is_full(state, task, now):
                    taken.append(claimed(task, owner, lease_s, now))
                    _store(state, taken[-1], now)
        return tuple(taken)

    def extend(self, task: Task, lease_s: float) -> Task:
        state = self._state
        with state.transaction():
            now = state.clock.now()
            held = state.tasks.get(task.key)
            if held is None or (held.owner, held.epoch, held.state) != (
                task.owner,
                task.epoch,
                "running",
            ):
                raise fenced(task.key)
            extended = replace(held, leased_until=now + timedelta(seconds=lease_s))
            _store(state, extended, now)
        return extended

    def task(self, key: str) -> Task | None:
        with self._state.lock:
            return self._state.tasks.get(key)

    def tasks(
        self, queue: str | None = None, *, state: TaskState | None = None, limit: int = 100
    ) -> tuple[Task, ...]:
        with self._state.lock:
            found = [
                task
                for task in reversed(self._state.tasks.values())
                if queue in {None, task.queue} and state in {None, task.state}
            ]
        return tuple(found[:limit])

    def lease(self, name: str, *, owner: str, lease_s: float) -> int | None:
        state = self._state
        with state.transaction():
            now = state.clock.now()
            holder, epoch, until = state.leases.get(name, ("", 0, now))
            if until > now and holder != owner:
                return None
            epoch = epoch if until > now else epoch + 1
            state.set(state.leases, name, (owner, epoch, now + timedelta(seconds=lease_s)))
            return epoch


def apply_task(state: MemoryState, change: TaskChange, now: datetime) -> None:
    """Add or change a task, inside the caller's transaction."""
    before = state.tasks.get(change.key)
    after = change_task(before, change, now)
    if after is not before:
        _store(state, after, now)


def _store(state: MemoryState, task: Task, now: datetime) -> None:
    state.set(state.tasks, task.key, task)
    state.set(state.ready_at, task.key, ready_at(task, now))


def _due(state: MemoryState, queue: str, now: datetime) -> list[Task]:
    found = [
        task
        for task in state.tasks.values()
        if task.queue == queue
        and task.state in {"ready", "running"}
        and state.ready_at[task.key] <= now
    ]
    return sorted(found, key=lambda task: state.ready_at[task.key])


def _is_full(state: MemoryState, task: Task, now: datetime) -> bool:
    if task.limit is None:
        return False
    held = [
        other
        for other in state.tasks.values()
        if other.limit is not None
        and other.limit.name == task.limit.name
        and other.state == "running"
        and state.ready_at[other.key] > now
    ]
    return len(held) >= task.limit.at_once
