import asyncio
import os
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from trivet.adapters.files import layout
from trivet.adapters.files.log import FileLog
from trivet.core.errors import Corrupt, TrivetError, Unavailable
from trivet.testing.contracts.log import LogContract
from trivet.testing.memory_stores import MemoryLog


def in_memory(folder: Path) -> MemoryLog:
    return MemoryLog(buffer_bytes=1 << 16)


class TestMemoryLog(LogContract):
    open_store = staticmethod(in_memory)
    is_persistent = False


class TestFileLog(LogContract):
    open_store = staticmethod(partial(FileLog, buffer_bytes=1 << 16))


class TestFileLogOfManySegments(LogContract):
    open_store = staticmethod(partial(FileLog, buffer_bytes=1 << 16, rotate_bytes=2000))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    log = FileLog(tmp_path / "log")
    yield log
    log.close()


def records(log: FileLog, stream: str = "a") -> list[bytes]:
    return [record for _, record in log.read(stream)]


def test_work_handed_over_is_durable_when_it_is_called_done(log: FileLog) -> None:
    async def serve() -> list[bytes]:
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in range(100)]

        def done(answer: asyncio.Future[None], error: TrivetError | None) -> None:
            assert threading.current_thread() is not threading.main_thread()
            assert error is None
            loop.call_soon_threadsafe(answer.set_result, None)

        for number, answer in enumerate(answers):
            log.append_soon("a", [b"%d" % number], partial(done, answer))
        await asyncio.gather(*answers)
        return records(log)

    assert asyncio.run(serve()) == [b"%d" % number for number in range(100)]


def test_work_handed_over_to_a_closed_loop_is_still_written(log: FileLog) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    log.append_soon("a", [b"1"], lambda _: loop.call_soon_threadsafe(print) and None)
    log.append("a", [b"2"])
    assert records(log) == [b"1", b"2"]


def test_a_closed_log_takes_nothing_more(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log")
    log.append("a", [b"1"])
    log.close()
    log.close()
    with pytest.raises(Unavailable):
        log.append("a", [b"2"])
    with pytest.raises(Unavailable):
        log.append_soon("a", [b"2"], lambda _: None)
    assert not log.buffer("a", [b"3", b"4"])
    assert log.dropped("a") == 2
    assert records(log) == [b"1"]


def test_buffered_records_are_written_without_being_asked_for(log: FileLog) -> None:
    assert log.buffer("a", [b"1"])
    for _ in range(500):
        if records(log):
            break
        threading.Event().wait(0.01)
    assert records(log) == [b"1"]


def test_after_a_failed_sync_nothing_more_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FileLog(tmp_path / "log")
    log.append("a", [b"1"])

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        with pytest.raises(Unavailable) as first:
            log.append("a", [b"2"])
    assert first.value.code == "sync-failed"
    with pytest.raises(Unavailable):
        log.append("a", [b"3"])
    assert not log.buffer("a", [b"4"])
    log.close()
    again = FileLog(tmp_path / "log")
    assert records(again)[:1] == [b"1"]
    again.append("a", [b"5"])
    assert records(again)[-1] == b"5"
    again.close()


def test_a_forked_child_writes_a_segment_of_its_own(log: FileLog) -> None:
    log.append("a", [b"parent"])
    assert log.buffer("a", [b"buffered by the parent"])
    child = fork()
    if child == 0:
        log.append("a", [b"child"])
        log.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log.append("a", [b"parent again"])
    assert records(log) == [b"parent", b"buffered by the parent", b"parent again", b"child"]
    assert list(log.verify()) == []


def test_a_torn_tail_is_cut_off_and_goes_unmentioned(tmp_path: Path) -> None:
    left = dead_log(tmp_path)
    with left.open("ab") as file:
        file.write(left.read_bytes()[-200:-50])
    log = FileLog(tmp_path / "log")
    assert list(log.verify()) == []
    assert records(log) == [b"1" * 100, b"2" * 100]
    log.append("a", [b"3"])
    assert records(log) == [b"1" * 100, b"2" * 100, b"3"]
    assert list(log.verify()) == []
    log.close()


def test_a_tail_that_was_acknowledged_is_missed(tmp_path: Path) -> None:
    left = dead_log(tmp_path)
    os.truncate(left, left.stat().st_size - 1)
    log = FileLog(tmp_path / "log")
    assert [damage.name for damage in log.verify()] == ["a/0000000001.seg"]
    with pytest.raises(Corrupt):
        records(log)
    log.close()


def test_a_segment_cut_anywhere_gives_its_whole_records(tmp_path: Path) -> None:
    left = dead_log(tmp_path)
    content = left.read_bytes()
    log = FileLog(tmp_path / "log")
    ends = [int(position.rpartition("@")[2]) for position, _ in log.read("a")]
    whole = records(log)
    # As after a power cut: the anchor, which is not synced, is the one from the beginning.
    anchor = layout.pack_anchor(layout.Anchor(layout.BODY, 0))
    content = content[: layout.BODY - len(anchor)] + anchor + content[layout.BODY :]
    for cut in range(layout.BODY, len(content) + 1):
        left.write_bytes(content[:cut])
        assert records(log) == [
            record for record, end in zip(whole, ends, strict=True) if end <= cut
        ]
        assert list(log.verify()) == []
    log.close()


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses none of the threads
        return os.fork()


def dead_log(tmp_path: Path) -> Path:
    """Leave a segment behind as a killed process would."""
    child = fork()
    if child == 0:
        log = FileLog(tmp_path / "log")
        log.append("a", [b"1" * 100])
        log.append("a", [b"2" * 100])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return tmp_path / "log" / "a" / "0000000001.seg"


def test_a_segment_that_was_taken_away_is_named(tmp_path: Path) -> None:
    log = FileLog(tmp_path, rotate_bytes=4096)
    for number in range(64):
        log.append("predictions", [bytes(200) + str(number).encode()] * 4)
    log.close()
    segments = sorted((tmp_path / "predictions").glob("*.seg"))
    assert len(segments) > 3
    segments[1].unlink()
    found = list(FileLog(tmp_path).verify())
    assert [(damage.name, damage.problem) for damage in found] == [
        (f"predictions/{segments[1].name}", "missing")
    ]
