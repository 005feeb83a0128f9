"""The `Journal` in SQLite. Times are those of this host: leases never cross hosts."""

from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.session import Session
from trivet.adapters.sqlite.transitions import fenced, to_task
from trivet.adapters.sqlite.writer import Writer
from trivet.core.clock import SystemClock, to_micros
from trivet.core.ports import Task, TaskState


class SqliteJournal:
    """Tasks and named leases; new tasks and transitions go through `Ledger.commit`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = SystemClock()

    def claim(self, queue: str, *, owner: str, lease_s: float, limit: int = 1) -> tuple[Task, ...]:
        # Workers ask often and mostly in vain: look before taking the write lock.
        with self._readers.session() as session:
            due = session.one("claimable", {"queue": queue, "now": self._now(), "limit": 1})
        if due is None:
            return ()

        def take(session: Session) -> tuple[Task, ...]:
            now = self._now()
            session.run("bury_exhausted", {"queue": queue, "now": now})
            numbers = session.all("claimable", {"queue": queue, "now": now, "limit": limit})
            until = now + int(lease_s * 1e6)
            rows = [
                session.one("claim", {"number": number, "owner": owner, "until": until})
                for (number,) in numbers
            ]
            return tuple(to_task(row) for row in rows)

        return self._writer.do(take)

    def extend(self, task: Task, lease_s: float) -> Task:
        def prolong(session: Session) -> Task:
            until = self._now() + int(lease_s * 1e6)
            row = session.one(
                "extend",
                {"key": task.key, "owner": task.owner, "epoch": task.epoch, "until": until},
            )
            if row is None:
                raise fenced(task.key)
            return to_task(row)

        return self._writer.do(prolong)

    def task(self, key: str) -> Task | None:
        with self._readers.session() as session:
            row = session.one("task", (key,))
        return None if row is None else to_task(row)

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
            now = self._now()
            holder, epoch, until = session.one("lease", (name,)) or ("", 0, now)
            if until > now and holder != owner:
                return None
            epoch = int(epoch) if until > now else int(epoch) + 1
            session.run("set_lease", (name, owner, epoch, now + int(lease_s * 1e6)))
            return epoch

        return self._writer.do(take)

    def _now(self) -> int:
        return to_micros(self._clock.now())
