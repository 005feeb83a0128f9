"""What every `Log` does. Subclass `LogContract` and say how a folder's store is opened."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.core.ports import Log
from trivet.testing.contracts.flips import check_flips
from trivet.testing.processes import PROCESSES, run_together

OpenLog = Callable[[Path], Log]
"""Opens the store of a folder; importable by name, so that other processes can open it, too."""

RECORDS = st.lists(st.binary(max_size=300), max_size=20)
BAD_STREAMS = ("", "/", "a//b", "../etc", "A", "a b", "a/", "-a", "a" * 65, "/".join(["abc"] * 100))


def close(store: Any) -> None:
    """Let go of a store that has something to let go of."""
    if hasattr(store, "close"):
        store.close()


def write_numbers(open_store: OpenLog, folder: Path, writer: int, count: int) -> None:
    """Append numbered records in small batches, by append and buffer in turn."""
    store = open_store(folder)
    for start in range(0, count, 5):
        records = [b"%d %d" % (writer, number) for number in range(start, start + 5)]
        if start % 2:
            assert store.buffer("numbers", records)
        else:
            store.append("numbers", records)
    store.flush()
    close(store)


def records(store: Log, stream: str, **where: Any) -> list[bytes]:
    """Return a stream's records."""
    return [record for _, record in store.read(stream, **where)]


class LogContract:
    """The suite; `store` is a fresh store per test, with a buffer of about 64 KiB."""

    open_store: ClassVar[OpenLog]
    is_persistent: ClassVar[bool] = True
    """Whether a second opening of the folder finds what the first has written."""
    flip_rounds: ClassVar[int] = 60

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Log]:
        """Open a fresh store."""
        store = type(self).open_store(tmp_path / "log")
        yield store
        close(store)

    def test_records_come_back_in_order(self, store: Log) -> None:
        streams = iter(range(10_000))

        @given(batches=st.lists(RECORDS, max_size=4))
        def check(batches: list[list[bytes]]) -> None:
            stream = f"stream/{next(streams)}"
            for batch in batches:
                store.append(stream, batch)
            assert records(store, stream) == [record for batch in batches for record in batch]

        check()

    def test_reading_resumes_behind_any_position(self, store: Log) -> None:
        store.append("a", [b"%d" % number for number in range(30)])
        positions = [position for position, _ in store.read("a")]
        store.append("a", [b"30"])
        for index, position in enumerate(positions):
            expected = [b"%d" % number for number in range(index + 1, 31)]
            assert records(store, "a", after=position) == expected

    def test_streams_do_not_mix(self, store: Log) -> None:
        store.append("a", [b"1"])
        store.append("a/b", [b"2"])
        store.append("a.b", [b"3"])
        assert (records(store, "a"), records(store, "a/b")) == ([b"1"], [b"2"])

    def test_an_unknown_stream_is_empty(self, store: Log) -> None:
        assert list(store.read("nobody")) == []

    def test_a_large_record_comes_back(self, store: Log) -> None:
        large = bytes(range(256)) * 12_000
        store.append("a", [b"", large, b"after"])
        assert records(store, "a") == [b"", large, b"after"]

    @pytest.mark.parametrize("stream", BAD_STREAMS)
    def test_what_is_no_name_is_refused(self, store: Log, stream: str) -> None:
        with pytest.raises(Invalid):
            store.append(stream, [b"x"])
        with pytest.raises(Invalid):
            store.buffer(stream, [b"x"])
        with pytest.raises(Invalid):
            list(store.read(stream))

    @pytest.mark.parametrize("record", ["text", 7, None, bytearray(b"x")])
    def test_what_is_no_bytes_is_refused_and_nothing_is_written(
        self, store: Log, record: object
    ) -> None:
        batch = cast("list[bytes]", [b"fine", record])
        with pytest.raises(Invalid):
            store.append("a", batch)
        with pytest.raises(Invalid):
            store.buffer("a", batch)
        store.flush()
        assert records(store, "a") == []

    @pytest.mark.parametrize("after", ["x", "-1", "1@", "1@2@3", "../1", "1-2-3"])
    def test_what_is_no_position_is_refused(self, store: Log, after: str) -> None:
        store.append("a", [b"x"])
        with pytest.raises(Invalid):
            list(store.read("a", after=after))

    def test_buffered_records_are_there_after_a_flush(self, store: Log) -> None:
        assert store.buffer("a", [b"1", b"2"])
        assert store.buffer("a", [b"3"])
        store.flush()
        assert records(store, "a") == [b"1", b"2", b"3"]
        assert store.dropped("a") == 0

    def test_a_full_buffer_refuses_and_counts(self, store: Log) -> None:
        refused = taken = 0
        for number in range(40):
            if store.buffer("a", [b"%04d" % number * 10_000, b"x"]):
                taken += 2
            else:
                refused += 2
        assert not store.buffer("a", [b"too large for any buffer" * 100_000])
        store.flush()
        assert len(records(store, "a")) == taken
        assert store.dropped("a") == refused + 1
        assert store.dropped("b") == 0
        assert store.buffer("a", [b"there is room again"])

    def test_threads_share_a_log(self, store: Log) -> None:
        def write(writer: int) -> None:
            for number in range(50):
                store.append("a", [b"%d %d" % (writer, number)])

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _assert_numbered(records(store, "a"), writers=8, count=50)

    def test_an_intact_log_reports_no_damage(self, store: Log) -> None:
        store.append("a", [b"x" * 100] * 100)
        assert list(store.verify()) == []

    def test_a_log_opened_again_goes_on(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        first = opener(tmp_path / "log")
        first.append("a", [b"1", b"2"])
        positions = [position for position, _ in first.read("a")]
        assert first.buffer("a", [b"3"])
        close(first)
        again = opener(tmp_path / "log")
        again.append("a", [b"4"])
        assert records(again, "a") == [b"1", b"2", b"3", b"4"]
        assert records(again, "a", after=positions[0]) == [b"2", b"3", b"4"]
        close(again)

    def test_segments_that_were_closed_before_are_skipped(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        first = opener(tmp_path / "log")
        first.append("a", [b"old"])
        close(first)
        soon_ms = time.time_ns() // 1_000_000 + 60_000
        again = opener(tmp_path / "log")
        assert records(again, "a", first_ms=soon_ms) == []
        assert records(again, "a", first_ms=soon_ms - 3_600_000) == [b"old"]
        close(again)

    def test_four_processes_lose_and_repeat_nothing(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener, folder, count = type(self).open_store, tmp_path / "log", 200
        store = opener(folder)
        seen: list[bytes] = []
        writers = threading.Thread(
            target=run_together,
            args=(write_numbers, [(opener, folder, writer, count) for writer in range(PROCESSES)]),
        )
        writers.start()
        after: str | None = None
        while True:
            is_over = not writers.is_alive()
            for position, record in store.read("numbers", after=after):
                after = position
                seen.append(record)
            if is_over:
                break
            time.sleep(0.01)
        writers.join()
        _assert_numbered(seen, writers=PROCESSES, count=count)
        _assert_numbered(records(store, "numbers"), writers=PROCESSES, count=count)
        assert list(store.verify()) == []
        close(store)

    def test_a_flipped_bit_is_named_and_never_served(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        for part in range(3):
            store = opener(tmp_path / "log")
            for number in range(40):
                store.append("a", [b"%d %d" % (part, number) * 20])
            close(store)
        store = opener(tmp_path / "log")
        check_flips(tmp_path, store.verify, lambda: records(store, "a"), rounds=self.flip_rounds)
        close(store)

    def _needs_persistence(self) -> None:
        if not self.is_persistent:
            pytest.skip("this store lives and dies with its object")


def _assert_numbered(found: list[bytes], *, writers: int, count: int) -> None:
    """Check that each writer's numbers are there once, in their order."""
    for writer in range(writers):
        own = [record for record in found if record.startswith(b"%d " % writer)]
        assert own == [b"%d %d" % (writer, number) for number in range(count)]
    assert len(found) == writers * count
