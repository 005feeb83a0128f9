"""Capture: every prediction goes to the log, in one of two modes that are never mixed up.

`audit`: the answer waits until its records are on disk; requests that arrive together share one
sync. Nothing that was answered is ever lost. `monitor`: the answer never waits; records go into a
bounded buffer and what does not fit is dropped and counted.
"""

import asyncio
import copy
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from trivet.core.errors import TrivetError, Unavailable
from trivet.core.ports import Log
from trivet.serving.facts import PREDICTIONS

_Waiting = tuple[Sequence[bytes], "asyncio.Future[None]"]
_Group = list[_Waiting]


class Capture:
    """Writes prediction records for one asyncio server, always from the same event loop.

    Args:
        log: Where they go.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: _Group = []
        self._is_writing = False
        self._is_closed = False
        self._groups: SimpleQueue[tuple[asyncio.AbstractEventLoop, _Group] | None] = SimpleQueue()
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
        if self._is_closed:
            raise Unavailable("the prediction log is closed", code="closed", hint="Try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((records, future))
        if not self._is_writing:
            # Not yet handed over: what else was read in this turn of the loop shall come along,
            # and what comes during the sync makes the next group. So a group grows with the load,
            # an idle server waits for nobody, and two threads meet twice for each group only.
            self._is_writing = True
            loop.call_soon(self._hand_over)
        await future

    def dropped(self) -> int:
        """Count the records that mode `monitor` dropped in this process."""
        return self._log.dropped(PREDICTIONS)

    async def close(self) -> None:
        """Write what is waiting, and stop."""
        if self._is_closed:
            return
        with suppress(TrivetError):  # those who waited have been told
            await self.keep_durably(())
        self._is_closed = True
        self._groups.put(None)
        await asyncio.to_thread(self._end)

    def _hand_over(self) -> None:
        group, self._waiting = self._waiting, []
        self._groups.put((asyncio.get_running_loop(), group))

    def _written(self, group: _Group, problem: TrivetError | None) -> None:
        self._is_writing = bool(self._waiting)
        if self._waiting:
            self._hand_over()
        for _, future in group:
            if future.done():  # its request was cancelled
                continue
            if problem is None:
                future.set_result(None)
            else:
                future.set_exception(copy.copy(problem))

    def _work(self) -> None:
        while (found := self._groups.get()) is not None:
            loop, group = found
            problem = self._write([record for records, _ in group for record in records])
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(self._written, group, problem)

    def _write(self, records: list[bytes]) -> TrivetError | None:
        try:
            self._log.append(PREDICTIONS, records)
        except TrivetError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a worker's loop: whoever waits must be told
            return Unavailable(
                f"the prediction log cannot be written: {type(error).__name__}",
                code="log-failed",
                hint="Look at the server's log, and run `trivet doctor`.",
            )
        return None

    def _end(self) -> None:
        self._thread.join()
        self._log.flush()
