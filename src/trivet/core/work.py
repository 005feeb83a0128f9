"""Where a user's code runs, if not in the process that asks: ports for commands and for calls.

They have contract suites like those of `trivet.core.ports`.
"""

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A command to run outside the calling process, with its own folder and environment."""

    arguments: tuple[str, ...]
    folder: str
    environment: dict[str, str] = {}
    timeout_s: float | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `output` is the tail of what it printed, at most 64 KiB."""

    exit_code: int
    output: str
    seconds: float


class Runner(Protocol):
    """Where a user's code runs: never in the process that asks."""

    def run(
        self,
        job: Job,
        on_line: Callable[[str], None] | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> Outcome:
        """Run the job to its end; `on_line` receives each line as it is printed.

        A job whose `stop` is set is told to end, and killed when it does not.

        Raises:
            Unavailable: The job could not be started, or was killed at its time limit.
        """
        ...


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What work takes of the machine it runs on."""

    cpus: int = 1
    gpus: int = 0
    memory_mib: int | None = None
    """Work that takes more, with the processes it starts, is ended; None sets no limit."""
    timeout_s: float | None = None
    """Counts from the moment a worker has the work, not from its submission."""
    environment: str = ""
    """A file of requirements, an absolute path; empty: the packages of the calling process."""
    environment_digest: str = ""
    """SHA-256 of that file, under which the environment is kept."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A call for a worker. Only bytes cross: nothing of it is executed but `entry`."""

    entry: str
    """`module:function`, imported by the worker: takes the body and `tell`, returns bytes. What it
    gives `tell` reaches whoever listens before the result does. If it raises `Conflict` with code
    `stale-worker`, a fresh worker is given the work."""
    body: bytes
    folder: str
    """Where the worker stands while it works."""
    key: str = ""
    """Work under the same key is done once at a time: whoever comes second shares the first's
    result. Empty: shared with nobody."""
    paths: tuple[str, ...] = ()
    """Where modules are looked for, first to last; empty: as in the calling process."""
    warm: tuple[str, ...] = ()
    """Modules that are good to have loaded before the work comes."""
    needs: Needs = Needs()


class Ticket(Protocol):
    """Stands for work that was submitted."""

    def result(self) -> bytes:
        """Wait for the work to end, and return what its entry returned.

        Raises:
            Unavailable: The worker died (`worker-died`), took too long (`work-timeout`) or too
                much memory (`worker-memory`), or could not be started (`no-worker`).
            Invalid: The entry cannot be imported, or raised (`bad-work`); no environment can be
                made of its file (`bad-environment`).
            TrivetError: It was cancelled (`cancelled`).
        """
        ...

    def cancel(self) -> None:
        """End the work, unless somebody else waits for it, too. What is over stays as it is."""
        ...


class Workers(Protocol):
    """Where steps run outside the calling process. Safe between threads."""

    def submit(
        self,
        work: Work,
        *,
        on_line: Callable[[str], None] | None = None,
        on_word: Callable[[bytes], None] | None = None,
    ) -> Ticket:
        """Take work; wait first while too much of it is waiting already.

        Args:
            work: The work.
            on_line: Receives each line the work prints, in a thread of the workers.
            on_word: Receives what the entry tells, in order, in the same thread.

        Raises:
            Invalid: It needs more than there is (`too-much`).
            Unavailable: The workers were closed (`closed`).
        """
        ...

    def width(self, needs: Needs) -> int:
        """Return how many works with these needs can run at once, at least 1."""
        ...

    def close(self) -> None:
        """Cancel what is under way, and let all workers go. Closing twice is fine."""
        ...
