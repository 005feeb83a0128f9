"""Reading connections, one per thread: readers never wait for the writer, nor it for them."""

import contextlib
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw

from trivet.adapters.sqlite.connection import told_apart
from trivet.adapters.sqlite.session import Session
from trivet.adapters.sqlite.still import Stamp, check_still, is_as_it_was, open_reader
from trivet.core.errors import Unavailable


class Readers:
    """Opens a connection for each thread that reads, and closes them all at the end.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._open: list[tuple[threading.Thread, Session]] = []
        self._closed = False

    @contextmanager
    def session(self) -> Generator[Session]:
        """Lend this thread's session; errors of SQLite leave as errors of Trivet."""
        if os.getpid() != self._pid:
            raise Unavailable(
                "this ledger was opened before the process forked",
                code="forked",
                hint="Open the workspace again in the child process.",
            )
        session = self._standing() or self._begin()
        stamp: Stamp | None = self._local.stamp
        try:
            with told_apart(self.path):
                yield session
        finally:
            check_still(self.path, stamp)

    @contextmanager
    def snapshot(self) -> Generator[Session]:
        """Lend this thread's session inside a transaction: several reads see one state."""
        with self.session() as session:
            if session.connection.in_transaction:
                # An interruption came between the begin of an earlier one and its end.
                session.execute("ROLLBACK")
            session.execute("BEGIN")
            try:
                yield session
            finally:
                session.execute("ROLLBACK")

    def _standing(self) -> Session | None:
        """Return this thread's session, unless it reads a state of the file that has passed."""
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            return None
        stamp: Stamp | None = self._local.stamp
        # One that is left behind is closed with the others: a caller may be in the midst of it.
        return session if stamp is None or is_as_it_was(self.path, stamp) else None

    def _begin(self) -> Session:
        with self._lock:
            if self._closed:
                raise Unavailable(
                    "this ledger was closed", code="closed", hint="Open the workspace again."
                )
            self._drop_finished()
            connection, stamp = open_reader(self.path)
            session = Session(connection)
            self._open.append((threading.current_thread(), session))
        self._local.session, self._local.stamp = session, stamp
        return session

    def _drop_finished(self) -> None:
        standing, self._open = self._open, []
        for thread, session in standing:
            if thread.is_alive():  # asked once: a thread may end at any moment
                self._open.append((thread, session))
            else:
                session.connection.close()

    def close(self) -> None:
        """Close every thread's connection."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closed = True
            for _, session in self._open:
                with contextlib.suppress(apsw.Error):
                    session.connection.close()
            self._open = []
        self._local = threading.local()
