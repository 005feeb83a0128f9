"""Lines in pages: bounded, in order, and read on from where one stood."""

import itertools
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Unavailable
from trivet.core.ports import Stores
from trivet.pipelines.logs.lines import LINES, LineWriter, Place, read_lines
from trivet.pipelines.logs.masking import without_controls


@pytest.fixture
def writer(stores: Stores) -> LineWriter:
    stores.views.declare(LINES)
    return LineWriter(stores, "flights", "r1")


def texts(stores: Stores, after: Place | None = None) -> list[str]:
    return [line.text for _, line in read_lines(stores, "flights", "r1", after)]


def test_whoever_follows_reads_each_line_once(stores: Stores, writer: LineWriter) -> None:
    place, seen = None, []
    for turn in range(40):
        for number in range(turn * 17):
            writer.add("step", "out", f"{turn}-{number} " + "x" * 200)
        writer.flush()
        fresh = list(read_lines(stores, "flights", "r1", place))
        seen += [line.text.split()[0] for _, line in fresh]
        place = fresh[-1][0] if fresh else place
    writer.close()
    assert seen == [f"{turn}-{number}" for turn in range(40) for number in range(turn * 17)]


def test_of_a_run_that_prints_too_much_the_beginning_and_the_end_are_kept(
    stores: Stores, writer: LineWriter
) -> None:
    count = 16_000
    for number in range(count):
        writer.add("noisy", "out", f"{number} " + "x" * 1000)
    writer.close()
    kept = texts(stores)
    (note,) = [text for text in kept if "not kept" in text]
    at = kept.index(note)
    first, last = kept[:at], kept[at + 1 :]
    assert [t.split()[0] for t in first] == [str(n) for n in range(len(first))]
    assert [t.split()[0] for t in last] == [str(n) for n in range(count - len(last), count)]
    assert f"{count - len(first) - len(last):,} lines" in note
    assert min(len(first), len(last)) > 3000
    rows = stores.views.find("run_lines", where={"run": "r1"}, limit=1000)
    assert len(rows) <= 128


def test_a_line_that_is_too_long_says_so(stores: Stores, writer: LineWriter) -> None:
    writer.add("", "out", "y" * 20_000)
    writer.close()
    (text,) = texts(stores)
    assert text.endswith("(3616 characters more)")


def test_a_store_that_refuses_does_not_stop_the_run(
    stores: Stores, writer: LineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(stores.views, "put", refuse)
    writer.add("", "out", "lost")
    writer.close()
    assert texts(stores) == []


def test_lines_are_kept_while_another_thread_changes_the_environment(
    stores: Stores, writer: LineWriter
) -> None:
    over = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            os.environ[f"TRIVET_TEST_{number % 50}"] = "1"
            os.environ.pop(f"TRIVET_TEST_{(number + 25) % 50}", None)

    thread = threading.Thread(target=change)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(300):
            writer.add("", "out", f"line {number}")
            writer.flush()
    finally:
        sys.setswitchinterval(interval)
        over.set()
        thread.join()
        for number in range(50):
            os.environ.pop(f"TRIVET_TEST_{number}", None)
    assert texts(stores) == [f"line {number}" for number in range(300)]


def test_a_run_that_prints_nothing_leaves_nothing(stores: Stores, writer: LineWriter) -> None:
    writer.close()
    assert stores.views.find("run_lines") == ()


@given(st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=50), max_size=60))
def test_a_line_without_control_characters_stays_as_it_is(lines: list[str]) -> None:
    for line in lines:
        assert without_controls(line) == line
