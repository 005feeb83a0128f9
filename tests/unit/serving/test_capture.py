import asyncio
import threading
from collections.abc import Sequence

import pytest

from trivet.core.errors import TrivetError, Unavailable
from trivet.serving.capture import Capture
from trivet.serving.facts import PREDICTIONS
from trivet.testing.memory_stores import MemoryLog


class GatedLog(MemoryLog):
    """A log whose appends end when they are let; it notes what each one was given."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.groups: list[list[bytes]] = []

    def append(self, stream: str, records: Sequence[bytes]) -> None:
        self.groups.append(list(records))
        self.begun.release()
        self.let.acquire()
        super().append(stream, records)

    async def wait_for_one(self) -> None:
        await asyncio.to_thread(self.begun.acquire)


class BrokenLog(MemoryLog):
    """A log that fails in a given way for as long as it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def append(self, stream: str, records: Sequence[bytes]) -> None:
        if self.error:
            raise self.error
        super().append(stream, records)


def records_of(log: MemoryLog) -> list[bytes]:
    return [record for _, record in log.read(PREDICTIONS)]


def test_nothing_is_answered_before_it_is_durable() -> None:
    async def story() -> None:
        log = GatedLog()
        capture = Capture(log)
        waiting = asyncio.create_task(capture.keep_durably([b"one"]))
        await log.wait_for_one()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert records_of(log) == []
        log.let.release()
        await waiting
        assert records_of(log) == [b"one"]
        log.let.release()
        await capture.close()

    asyncio.run(story())


def test_what_comes_in_one_turn_shares_a_sync_and_what_comes_meanwhile_shares_the_next() -> None:
    async def story() -> None:
        log = GatedLog()
        capture = Capture(log)
        first = [asyncio.create_task(capture.keep_durably([b"a%d" % i])) for i in range(3)]
        await log.wait_for_one()
        later = [asyncio.create_task(capture.keep_durably([b"b%d" % i, b"c"])) for i in range(2)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(log.groups) == 1
        log.let.release(2)
        await asyncio.gather(*first, *later)
        assert log.groups == [[b"a0", b"a1", b"a2"], [b"b0", b"c", b"b1", b"c"]]
        log.let.release()
        await capture.close()

    asyncio.run(story())


def test_those_of_the_next_group_wait_for_their_own_sync() -> None:
    async def story() -> None:
        log = GatedLog()
        capture = Capture(log)
        first = asyncio.create_task(capture.keep_durably([b"one"]))
        await log.wait_for_one()
        second = asyncio.create_task(capture.keep_durably([b"two"]))
        await asyncio.sleep(0)
        log.let.release()
        await first
        await log.wait_for_one()
        assert not second.done()
        log.let.release()
        await second
        log.let.release()
        await capture.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("the disk did not confirm a write", code="sync-failed"), "sync-failed"),
        (OSError(28, "No space left on device"), "log-failed"),
        (RuntimeError("a defect"), "log-failed"),
    ],
)
def test_a_failed_write_reaches_everybody_who_waited_and_nobody_later(
    error: Exception, code: str
) -> None:
    async def story() -> None:
        log = BrokenLog(error)
        capture = Capture(log)
        waiting = [capture.keep_durably([b"lost"]) for _ in range(5)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        found = [outcome for outcome in outcomes if isinstance(outcome, TrivetError)]
        assert [outcome.code for outcome in found] == [code] * 5
        assert len({id(outcome) for outcome in found}) == 5
        log.error = None
        await capture.keep_durably([b"kept"])
        assert records_of(log) == [b"kept"]
        await capture.close()

    asyncio.run(story())


def test_a_request_that_was_cancelled_does_not_disturb_the_others() -> None:
    async def story() -> None:
        log = GatedLog()
        capture = Capture(log)
        one, two = (asyncio.create_task(capture.keep_durably([name])) for name in (b"1", b"2"))
        await log.wait_for_one()
        one.cancel()
        log.let.release(2)
        await two
        assert one.cancelled()
        assert records_of(log) == [b"1", b"2"]
        await capture.close()

    asyncio.run(story())


def test_closing_writes_what_waits_and_refuses_what_comes_after() -> None:
    async def story() -> None:
        log = MemoryLog()
        capture = Capture(log)
        assert capture.keep([b"buffered"])
        waiting = asyncio.create_task(capture.keep_durably([b"durable"]))
        await asyncio.sleep(0)
        await capture.close()
        await waiting
        assert sorted(records_of(log)) == [b"buffered", b"durable"]
        with pytest.raises(Unavailable):
            await capture.keep_durably([b"late"])
        await capture.close()

    asyncio.run(story())


def test_closing_a_log_that_fails_still_closes() -> None:
    async def story() -> None:
        before = set(threading.enumerate())
        capture = Capture(BrokenLog(OSError(5, "Input/output error")))
        await capture.close()
        started = set(threading.enumerate()) - before
        assert not any(thread.name == "capture" for thread in started)

    asyncio.run(story())


def test_mode_monitor_never_waits_and_counts_what_it_drops() -> None:
    async def story() -> None:
        log = MemoryLog(buffer_bytes=10)
        capture = Capture(log)
        kept = [capture.keep([b"1234"]) for _ in range(5)]
        assert kept == [True, True, False, False, False]
        assert capture.dropped() == 3
        await capture.close()
        assert records_of(log) == [b"1234", b"1234"]

    asyncio.run(story())
