"""The `Journal` in SQLite. Times are those of this host: leases never cross hosts."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.session import Session
from trivet.adapters.sqlite.transitions import read_task, store_task, to_task
from trivet.adapters.sqlite.writer import Writer
from trivet.core.clock import SystemClock, to_micros
from trivet.core.ports import Task, TaskState
from trivet.core.tasks import claimed, fenced


class SqliteJournal:
    """Tasks and named leases; new tasks and transitions go through `Ledger.commit`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = SystemClock()

    def claim(self, queue: str, *, owner: str, lease_s: float, limit: int = 1) -> tuple[Task, ...]:
        # Workers ask often and mostly in vain: look before taking the write lock.
        with self._readers.session() as session:
            if _next_due(session, queue, self._clock.now()) is None:
                return ()

        def take(session: Session) -> tuple[Task, ...]:
            now = self._clock.now()
            session.run("bury_exhausted", {"queue": queue, "now": to_micros(now)})
            taken: list[Task] = []
            while len(taken) < limit and (task := _next_due(session, queue, now)) is not None:
                taken.append(claimed(task, owner, lease_s, now))
                store_task(session, taken[-1], now)
            return tuple(taken)

        return self._writer.do(take)

    def extend(self, task: Task, lease_s: float) -> Task:
        def prolong(session: Session) -> Task:
            now = self._clock.now()
            held = read_task(session, task.key)
            if held is None or (held.owner, held.epoch, held.state) != (
                task.owner,
                task.epoch,
                "running",
            ):
                raise fenced(task.key)
            extended = replace(held, leased_until=now + timedelta(seconds=lease_s))
            store_task(session, extended, now)
            return extended

        return self._writer.do(prolong, synced=False)

    def task(self, key: str) -> Task | None:
        with self._readers.session() as session:
            return read_task(session, key)

    def tasks(
        self, queue: str | None = None, *, state: TaskState | None = None, limit: int = 100
    ) -> tuple[Task, ...]:
        with self._readers.session() as session:
            if queue is None:
                rows = session.all("tasks", {"state": state, "limit": limit})
            else:
                wanted = {"queue": queue, "state": state, "limit": limit}
                rows = session.all("tasks_of_queue", wanted)
        return tuple(to_task(row) for row in rows)

    def lease(self, name: str, *, owner: str, lease_s: float) -> int | None:
        def take(session: Session) -> int | None:
            now = to_micros(self._clock.now())
            holder, epoch, until = session.one("lease", (name,)) or ("", 0, now)
            if until > now and holder != owner:
                return None
            epoch = int(epoch) if until > now else int(epoch) + 1
            session.run("set_lease", (name, owner, epoch, now + int(lease_s * 1e6)))
            return epoch

        return self._writer.do(take, synced=False)


def _next_due(session: Session, queue: str, now: datetime) -> Task | None:
    row = session.one("claimable", {"queue": queue, "now": to_micros(now)})
    return None if row is None else to_task(row)
