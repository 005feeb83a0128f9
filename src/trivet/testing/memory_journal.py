"""A journal in a dictionary."""

from datetime import timedelta

from msgspec.structs import replace

from trivet.core.ports import Task, TaskState
from trivet.testing.memory_state import MemoryState, fenced


class MemoryJournal:
    """A `Journal` in a dictionary."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def claim(self, queue: str, *, owner: str, lease_s: float, limit: int = 1) -> tuple[Task, ...]:
        state = self._state
        claimed: list[Task] = []
        with state.transaction():
            now = state.clock.now()
            open_tasks = [
                task
                for task in state.tasks.values()
                if task.queue == queue
                and task.state in {"ready", "running"}
                and state.ready_at[task.key] <= now
            ]
            usable = [task for task in open_tasks if task.attempts < task.max_attempts]
            for task in open_tasks:
                if task.attempts >= task.max_attempts:
                    buried = replace(task, state="failed", leased_until=None)
                    state.set(state.tasks, task.key, buried)
            for task in sorted(usable, key=lambda task: state.ready_at[task.key])[:limit]:
                until = now + timedelta(seconds=lease_s)
                taken = replace(
                    task,
                    state="running",
                    attempts=task.attempts + 1,
                    epoch=task.epoch + 1,
                    owner=owner,
                    leased_until=until,
                )
                state.set(state.tasks, task.key, taken)
                state.set(state.ready_at, task.key, until)
                claimed.append(taken)
        return tuple(claimed)

    def extend(self, task: Task, lease_s: float) -> Task:
        state = self._state
        with state.transaction():
            held = state.tasks.get(task.key)
            if held is None or (held.owner, held.epoch, held.state) != (
                task.owner,
                task.epoch,
                "running",
            ):
                raise fenced(task.key)
            until = state.clock.now() + timedelta(seconds=lease_s)
            extended = replace(held, leased_until=until)
            state.set(state.tasks, task.key, extended)
            state.set(state.ready_at, task.key, until)
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
