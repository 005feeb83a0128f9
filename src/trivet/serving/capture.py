"""Capture: every prediction goes to the log, in one of two modes that are never mixed up.

`audit`: the answer waits until its records are on disk; requests that arrive together share one
sync. Nothing that was answered is ever lost. `monitor`: the answer never waits; records go into a
bounded buffer and what does not fit is dropped and counted.
"""

import asyncio
import threading
from collections.abc import Sequence
from queue import SimpleQueue

from trivet.core.errors import TrivetError, Unavailable
from trivet.core.ports import Log
from trivet.serving.facts import PREDICTIONS

_Waiting = tuple[Sequence[bytes], asyncio.AbstractEventLoop, "asyncio.Future[None]"]
_MOST_TOGETHER = 4096


class Capture:
    """Writes prediction records for an asyncio server."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    def keep(self, records: Sequence[bytes]) -> bool:
        """Take records without waiting (`monitor`); False, and counted, when the buffer is full."""
        return self._log.buffer(PREDICTIONS, records)

    async def keep_durably(self, records: Sequence[bytes]) -> None:
        """Return when the records are on disk (`audit`).

        Raises:
            Unavailable: They could not be written; the prediction must not be answered.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.put((records, loop, future))
        await future

    def dropped(self) -> int:
        """Count the records that mode `monitor` dropped in this process."""
        return self._log.dropped(PREDICTIONS)

    def close(self) -> None:
        """Write what is waiting, and stop."""
        self._queue.put(None)
        self._thread.join()
        self._log.flush()

    def _work(self) -> None:
        open_ = True
        while open_:
            group = [self._queue.get()]
            # Whatever came in during the last sync goes into the next one: the group grows with
            # the load, and an idle server never waits for company.
            while not self._queue.empty() and len(group) < _MOST_TOGETHER:
                group.append(self._queue.get())
            open_ = None not in group
            waiting = [item for item in group if item is not None]
            if waiting:
                self._write(waiting)

    def _write(self, waiting: list[_Waiting]) -> None:
        problem: TrivetError | None = None
        try:
            self._log.append(PREDICTIONS, [record for item in waiting for record in item[0]])
        except TrivetError as error:
            problem = error
        except OSError as error:
            problem = Unavailable(f"the prediction log cannot be written: {error.strerror}")
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for _, loop, future in waiting:
            by_loop.setdefault(loop, []).append(future)
        for loop, futures in by_loop.items():
            # One wake-up for the whole group: a wake-up costs more than the answer.
            loop.call_soon_threadsafe(_settle, futures, problem)


def _settle(futures: list["asyncio.Future[None]"], problem: TrivetError | None) -> None:
    for future in futures:
        if future.cancelled():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
