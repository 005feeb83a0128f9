"""The one thread of a process that writes: concurrent jobs share a transaction and its sync.

Jobs that wait while a transaction is being synced are gathered into the next one and answered
together (group commit). A group runs without savepoints; when one of its jobs fails, the group is
taken back and run again with a savepoint around each, so that the failure stays alone.

A group of which nobody waits for the disk is committed without a sync; a sync of all such groups
follows a moment later. The write-ahead log is one file written from front to back, so whatever
syncs it makes every commit before durable, too.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar, cast

import apsw

from trivet.adapters.sqlite.anchors import Anchor, Anchors
from trivet.adapters.sqlite.connection import (
    PATIENCE_MS,
    extended_code,
    is_checksum_failure,
    is_full,
    meaning_of,
    open_connection,
    pragma,
)
from trivet.adapters.sqlite.session import Session
from trivet.core.errors import Corrupt, TrivetError, Unavailable

CHECKPOINT_PAGES: Final = 8_000
SYNC_AFTER_S: Final = 0.1
"""How long commits that nobody waits for may stay unsynced: half of what the port promises."""
_GROUP_JOBS: Final = 256
_RETRY_S: Final = 0.2

T = TypeVar("T")
Job = Callable[[Session], Any]


class _Waiting(NamedTuple):
    job: Job
    answer: "Future[Any]"
    synced: bool


class Writer:
    """Owns the process's only writing connection.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._anchors = Anchors(path.parent)
        self._opened: Session | None = None
        self._open()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._pid = os.getpid()
        self._stopped: TrivetError | None = None
        self._closed = False
        self._tail_checked = False
        self._truncation_due = False
        self._sync_due: float | None = None
        self._syncs = True
        self._submitting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="trivet-ledger", daemon=True)
        self._thread.start()

    @property
    def _session(self) -> Session:
        """The session; `_open` was asked before."""
        return cast("Session", self._opened)

    def _open(self) -> Unavailable | None:
        """Open the file where it is not; return why not, when the disk is full.

        What is stored can be read all the same, and written once there is room.
        """
        if self._opened is None:
            try:
                self._opened = Session(open_connection(self._path, writes=True))
            except Unavailable as error:
                if error.code != "disk-full":
                    raise
                return error
        return None

    def do(self, job: Callable[[Session], T], *, synced: bool = True) -> T:
        """Run a job in a write transaction; return its answer once that is durable.

        Without `synced` it returns once the operating system has the bytes.

        The job may run more than once, and only its last run counts.

        Raises:
            Unavailable: The store is full, busy beyond its patience, closed, or was stopped by a
                failed sync.
        """
        if os.getpid() != self._pid:
            raise Unavailable(
                "this ledger was opened before the process forked",
                code="forked",
                hint="Open the workspace again in the child process.",
            )
        answer: Future[T] = Future()
        with self._submitting:
            if self._closed:
                raise Unavailable(
                    "this ledger was closed", code="closed", hint="Open the workspace again."
                )
            self._queue.put(_Waiting(job, answer, synced))
        return answer.result()

    def close(self) -> None:
        """Finish what was submitted, then let go of the file."""
        if os.getpid() != self._pid:
            return
        with self._submitting:
            if not self._closed:
                self._queue.put(None)
            self._closed = True
        self._thread.join()

    # ------------------------------------------------------- the writing thread

    def _work(self) -> None:
        while (group := self._gather()) is not None:
            if group:
                self._write(group)
            if self._sync_due is not None and monotonic() >= self._sync_due:
                self._sync()
            self._tend()
        if self._sync_due is not None:
            self._sync()
        with contextlib.suppress(apsw.Error):
            if self._opened is not None:
                self._opened.connection.close()

    def _gather(self) -> list[_Waiting] | None:
        """Wait for jobs; an empty list is an occasion to tend, None the end."""
        try:
            first = self._queue.get(timeout=self._patience_s())
        except Empty:
            return []
        if first is None:
            return None
        group = [first]
        while len(group) < _GROUP_JOBS:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is None:
                self._queue.put(None)
                break
            group.append(waiting)
        return group

    def _patience_s(self) -> float | None:
        if self._sync_due is not None:
            return max(0.0, self._sync_due - monotonic())
        return _RETRY_S if self._truncation_due else None

    def _write(self, group: list[_Waiting]) -> None:
        """Run a group in one transaction and answer all its jobs."""
        if self._stopped is not None:
            outcomes: list[Any] = [self._stopped] * len(group)
        elif (trouble := self._try_to_open()) is not None:
            outcomes = [trouble] * len(group)
        else:
            try:
                outcomes = self._transact(group)
            except Exception as error:  # noqa: BLE001  # a worker's loop: every caller gets its answer
                outcomes = [self._give_up(error)] * len(group)
        for (_, answer, _), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                # Each caller raises an object of its own: raising writes into it.
                answer.set_exception(copy(outcome) if isinstance(outcome, TrivetError) else outcome)
            else:
                answer.set_result(outcome)

    def _try_to_open(self) -> Exception | None:
        try:
            return self._open()
        except Exception as error:  # noqa: BLE001  # a worker's loop: every caller gets its answer
            return error

    def _transact(self, group: list[_Waiting]) -> list[Any]:
        connection = self._session.connection
        synced = any(waiting.synced for waiting in group)
        self._set_syncs(synced)
        self._session.execute("BEGIN IMMEDIATE")
        self._check_tail()
        before = connection.total_changes()
        try:
            outcomes: list[Any] = [waiting.job(self._session) for waiting in group]
        except Exception as error:
            if self._is_everybodys(error):
                raise
            self._take_back("ROLLBACK")
            if len(group) == 1:
                return [error]
            self._session.execute("BEGIN IMMEDIATE")
            before = connection.total_changes()
            outcomes = [self._run_alone(waiting.job) for waiting in group]
        if connection.total_changes() == before:
            self._take_back("ROLLBACK")
            return outcomes
        self._commit(synced=synced)
        return outcomes

    def _commit(self, *, synced: bool) -> None:
        # Only what is durable may be anchored: an anchor says that the rest has been lost.
        anchor = self._next_anchor() if synced else None
        self._session.execute("COMMIT")
        self._truncation_due |= self._session.forgot
        self._session.forgot = False
        if anchor is None:
            self._sync_due = self._sync_due or monotonic() + SYNC_AFTER_S
            return
        self._sync_due = None
        # An anchor that cannot be written only leaves a later check with less to compare.
        with contextlib.suppress(OSError):
            self._anchors.write(anchor)

    def _set_syncs(self, wanted: bool) -> None:  # noqa: FBT001  # the pragma's value
        if wanted != self._syncs:
            pragma(self._session.connection, "synchronous", "full" if wanted else "normal")
            self._syncs = wanted

    def _sync(self) -> None:
        """Make durable what was committed without a sync, by a commit that is synced."""
        self._sync_due = None
        if self._stopped is not None:
            return
        try:
            self._set_syncs(wanted=True)
            self._session.execute("BEGIN IMMEDIATE")
            self._commit(synced=True)
        except Exception as error:  # noqa: BLE001  # nobody waits; the next caller is told
            self._give_up(error)

    def _run_alone(self, job: Job) -> Any:
        self._session.execute("SAVEPOINT job")
        try:
            outcome = job(self._session)
        except Exception as error:
            if self._is_everybodys(error):
                raise
            self._take_back("ROLLBACK TO job")
            outcome = error
        self._session.execute("RELEASE job")
        return outcome

    def _is_everybodys(self, error: Exception) -> bool:
        return isinstance(error, apsw.Error) and meaning_of(error, self._path) is not None

    def _take_back(self, statement: str) -> None:
        self._session.words.clear()
        self._session.execute(statement)

    def _next_anchor(self) -> Anchor:
        (commit,) = self._session.one("bump_counter") or (0,)
        number, digest, _ = self._session.one("last_link") or (0, bytes(32), 0)
        return Anchor(commit=commit, link=number, hash=digest)

    def _check_tail(self) -> None:
        """Refuse to write behind a lost tail, which would hide the loss for ever."""
        if self._tail_checked:
            return
        (commits,) = self._session.one("counter") or (0,)
        anchor = self._anchors.last()
        if anchor is not None and anchor.commit > commits:
            raise Corrupt(
                f"{self._path.name} ends at commit {commits}, but commit {anchor.commit} was "
                "acknowledged",
                code="lost-tail",
                hint="Run `trivet fsck` and restore a backup. To go on without what is lost, "
                f"delete the file {self._anchors.path.name} beside it.",
                detail={"found": commits, "acknowledged": anchor.commit},
            )
        self._tail_checked = True

    def _give_up(self, error: Exception) -> Exception:
        """Take the transaction back, and stop for good when the disk cannot be trusted."""
        meaning = meaning_of(error, self._path) if isinstance(error, apsw.Error) else None
        if isinstance(error, apsw.IOError) and not (is_checksum_failure(error) or is_full(error)):
            # After a failed sync the kernel may have dropped the very pages that a retry would
            # report as written, so no later success could be believed.
            meaning = self._stopped = Unavailable(
                f"writing {self._path.name} failed ({error}); it is not known whether the batch "
                "was stored, and nothing more is written",
                code="write-failed",
                hint="Check the disk, restart, and commit the same drafts again.",
                detail={"extended_code": extended_code(error)},
            )
        self._session.words.clear()
        self._session.forgot = False
        connection = self._session.connection
        with contextlib.suppress(apsw.Error):
            if connection.in_transaction:
                self._session.execute("ROLLBACK")
            if self._stopped is not None:
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return meaning or error

    def _tend(self) -> None:
        """Move the write-ahead log into the database when it has grown, after the answers."""
        if self._stopped is not None or self._opened is None:
            return
        connection = self._session.connection
        try:
            if self._truncation_due:
                connection.set_busy_timeout(0)
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self._truncation_due = False
            elif self._log_pages() > CHECKPOINT_PAGES:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            pass  # somebody still reads the old pages; there will be another occasion
        except apsw.Error as error:
            self._give_up(error)
        finally:
            connection.set_busy_timeout(PATIENCE_MS)

    def _log_pages(self) -> int:
        frames, _ = self._session.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        return frames
