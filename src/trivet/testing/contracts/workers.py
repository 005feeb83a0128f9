"""What every `Workers` does. Subclass `WorkersContract` and say how workers are opened."""

import ctypes
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from trivet.core.errors import Invalid, TrivetError, Unavailable
from trivet.core.work import Needs, Work, Workers

OpenWorkers = Callable[[Path], Workers]

_PATIENCE_S = 30.0
Tell = Callable[[bytes], None]


# ---------------------------------------------------------------- entries, which workers import


def turn(body: bytes, _tell: Tell) -> bytes:
    """Return the body backwards."""
    return body[::-1]


def recite(body: bytes, tell: Tell) -> bytes:
    """Tell each byte of the body."""
    for number in body:
        tell(bytes([number]))
    return b"done"


def fail(body: bytes, _tell: Tell) -> bytes:
    """Raise an error with the body as its words."""
    raise LookupError(body.decode())


def leave_mark(body: bytes, _tell: Tell) -> bytes:
    """Append a line to the file that the body names, and wait until a file beside it exists."""
    place = Path(body.decode())
    with place.open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not place.with_suffix(".go").exists():
        time.sleep(0.01)
    return b"done"


def speak(body: bytes, _tell: Tell) -> bytes:
    """Print, in Python, to the error stream, and from a child."""
    print(body.decode())  # noqa: T201  # lines are what it is about
    print("to the error stream", file=sys.stderr)  # noqa: T201
    subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
    print("no end of line", end="")  # noqa: T201
    return b""


def die(body: bytes, _tell: Tell) -> bytes:
    """End this process in the way that the body names."""
    match body:
        case b"kill":
            os.kill(os.getpid(), 9)
        case b"unnamed signal":
            os.kill(os.getpid(), signal.SIGRTMIN + 6)
        case b"crash":
            ctypes.string_at(0)
        case _:
            os._exit(3)
    return b""


def hoard(_body: bytes, _tell: Tell) -> bytes:
    """Take memory for ever."""
    kept: list[bytes] = []
    while True:
        kept.append(b"x" * (8 << 20))
        time.sleep(0.005)


def who(_body: bytes, _tell: Tell) -> bytes:
    """Return this process's number."""
    return str(os.getpid()).encode()


def where(_body: bytes, _tell: Tell) -> bytes:
    """Return the working folder."""
    return str(Path.cwd()).encode()


def fork(body: bytes, tell: Tell) -> bytes:
    """Fork; the child does as the body says after a while, and then comes back, too."""
    if os.fork():
        return b"parent"
    if body == b"tell":
        tell(b"from the child")
    time.sleep(0.3)
    if body == b"raise":
        raise LookupError("in the child")
    return b"child"


def leave(body: bytes, _tell: Tell) -> bytes:
    """Leave something behind in the process that would reach the next work; return its number."""
    match body:
        case b"closed stream":
            sys.stdout.close()
        case b"other stream":
            sys.stdout = io.StringIO()
        case b"other descriptor":
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        case b"timer":
            signal.setitimer(signal.ITIMER_REAL, 0.5)
        case b"handler":
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        case b"mask":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        case b"variable":
            os.environ["LEFT_BEHIND"] = "yes"
        case b"folder":
            os.chdir("/")
        case b"thread":
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        case _:
            pass
    return who(b"", _tell)


def leave_child(body: bytes, _tell: Tell) -> bytes:
    """Leave a process behind that prints for ever; return its number."""
    match body:
        case b"child":
            child = subprocess.Popen(["yes"], start_new_session=False)
        case b"daemon":
            child = subprocess.Popen(["yes"], start_new_session=True)
        case _:
            said = subprocess.check_output(["sh", "-c", "yes >&2 & echo $!"])
            return said.strip()
    time.sleep(0.2)
    return str(child.pid).encode()


def nap(body: bytes, _tell: Tell) -> bytes:
    """Return the body after a second."""
    time.sleep(1.0)
    return body


# ---------------------------------------------------------------------------------- the suite


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


class WorkersContract:
    """The suite; `workers` are opened afresh for each test, with room for two works at once."""

    open_workers: ClassVar[OpenWorkers]
    are_processes: ClassVar[bool] = True
    """Whether work runs in processes: it can be ended, and what it prints is collected."""

    @pytest.fixture
    def workers(self, tmp_path: Path) -> Iterator[Workers]:
        """Open workers, and close them."""
        workers = type(self).open_workers(tmp_path)
        yield workers
        workers.close()

    def work(self, entry: Callable[..., bytes], body: bytes, needs: Needs | None = None) -> Work:
        """Make work of an entry of this module."""
        return Work(
            entry=f"{__name__}:{entry.__name__}",
            body=body,
            folder=str(Path.cwd()),
            needs=needs or Needs(),
        )

    def test_bytes_go_in_and_bytes_come_out(self, workers: Workers) -> None:
        for body in (b"", b"drawer", os.urandom(1 << 20)):
            assert workers.submit(self.work(turn, body)).result() == body[::-1]

    def test_each_work_gets_its_own_answer(self, workers: Workers) -> None:
        tickets = [workers.submit(self.work(turn, b"%d." % n)) for n in range(50)]
        assert [t.result() for t in tickets] == [(b"%d." % n)[::-1] for n in range(50)]

    def test_what_is_told_arrives_in_order_and_before_the_result(self, workers: Workers) -> None:
        words: list[bytes] = []
        ticket = workers.submit(self.work(recite, bytes(range(200))), on_word=words.append)
        assert ticket.result() == b"done"
        assert words == [bytes([number]) for number in range(200)]

    def test_an_entry_that_raises_says_so_and_the_next_work_is_done(self, workers: Workers) -> None:
        with pytest.raises(Invalid, match="no such tea") as refused:
            workers.submit(self.work(fail, b"no such tea")).result()
        assert refused.value.code == "bad-work"
        assert workers.submit(self.work(turn, b"ab")).result() == b"ba"

    def test_an_entry_that_does_not_exist_says_so(self, workers: Workers) -> None:
        work = Work(entry="nowhere.at.all:entry", body=b"", folder=str(Path.cwd()))
        with pytest.raises(Invalid, match="nowhere"):
            workers.submit(work).result()

    def test_the_same_key_at_the_same_time_is_done_once(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        place = tmp_path / "marks"
        work = msgspec.structs.replace(self.work(leave_mark, str(place).encode()), key="one")
        tickets = [workers.submit(work) for _ in range(3)]
        wait_until(place.exists)
        tickets[0].cancel()  # the others still wait for it
        place.with_suffix(".go").touch()
        assert [ticket.result() for ticket in tickets[1:]] == [b"done"] * 2
        assert len(place.read_text().splitlines()) == 1
        assert workers.submit(work).result() == b"done"
        assert len(place.read_text().splitlines()) == 2

    def test_a_key_that_was_cancelled_is_done_when_it_is_asked_for_again(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        place = tmp_path / "marks"
        work = msgspec.structs.replace(self.work(leave_mark, str(place).encode()), key="one")
        cancelled = workers.submit(work)
        wait_until(place.exists)
        cancelled.cancel()
        again = workers.submit(work)
        place.with_suffix(".go").touch()
        assert again.result() == b"done"

    def test_two_works_run_at_once_and_not_three(self, workers: Workers, tmp_path: Path) -> None:
        assert workers.width(Needs()) == 2
        assert workers.width(Needs(cpus=2)) == 1
        places = [tmp_path / f"work{number}" for number in range(3)]
        tickets = [workers.submit(self.work(leave_mark, str(p).encode())) for p in places]
        wait_until(lambda: places[0].exists() and places[1].exists())
        time.sleep(0.1)
        assert not places[2].exists()
        for place in places:
            place.with_suffix(".go").touch()
        assert [ticket.result() for ticket in tickets] == [b"done"] * 3

    def test_work_that_needs_more_than_there_is_is_refused(self, workers: Workers) -> None:
        for needs in (Needs(cpus=3), Needs(gpus=1)):
            with pytest.raises(Invalid) as refused:
                workers.submit(self.work(turn, b"", needs))
            assert refused.value.code == "too-much"

    def test_whoever_submits_too_much_waits(self, workers: Workers, tmp_path: Path) -> None:
        place = tmp_path / "work"
        submitted: list[int] = []

        def submit_many() -> None:
            for number in range(30):
                workers.submit(self.work(leave_mark, str(place).encode()))
                submitted.append(number)

        thread = threading.Thread(target=submit_many)
        thread.start()
        wait_until(lambda: len(submitted) >= 2)
        time.sleep(0.2)
        assert len(submitted) < 15
        place.with_suffix(".go").touch()
        thread.join(_PATIENCE_S)
        assert len(submitted) == 30

    def test_cancelled_work_says_so(self, workers: Workers, tmp_path: Path) -> None:
        place = tmp_path / "work"
        tickets = [workers.submit(self.work(leave_mark, str(place).encode())) for _ in range(4)]
        wait_until(place.exists)
        for ticket in tickets:
            ticket.cancel()
        place.with_suffix(".go").touch()  # for workers that cannot be ended
        for ticket in tickets:
            with pytest.raises(TrivetError) as refused:
                ticket.result()
            assert refused.value.code == "cancelled"
        assert workers.submit(self.work(turn, b"ab")).result() == b"ba"

    def test_closed_workers_take_no_work(self, workers: Workers) -> None:
        workers.close()
        workers.close()
        with pytest.raises(Unavailable):
            workers.submit(self.work(turn, b""))

    # ------------------------------------------------------------------ processes

    def test_work_is_done_by_warm_processes_in_the_folder_it_names(
        self, workers: Workers, tmp_path: Path
    ) -> None:
        self._needs_processes()
        pids = {workers.submit(self.work(who, b"")).result() for _ in range(20)}
        assert len(pids) == 1
        assert str(os.getpid()).encode() not in pids
        work = Work(entry=f"{__name__}:where", body=b"", folder=str(tmp_path))
        assert Path(workers.submit(work).result().decode()) == tmp_path.resolve()

    def test_everything_that_is_printed_arrives_line_by_line(self, workers: Workers) -> None:
        self._needs_processes()
        for _ in range(3):
            lines: list[str] = []
            workers.submit(self.work(speak, b"one\ntwo"), on_line=lines.append).result()
            assert lines == ["one", "two", "to the error stream", "a child", "no end of line"]

    @pytest.mark.parametrize(
        ("way", "words"),
        [
            *((b"kill", "SIGKILL"), (b"crash", "SIGSEGV"), (b"exit", "exit code 3")),
            *([(b"unnamed signal", "by signal [0-9]+")] if sys.platform == "linux" else ()),
        ],
    )
    def test_a_worker_that_dies_fails_its_own_work_alone(
        self, workers: Workers, tmp_path: Path, way: bytes, words: str
    ) -> None:
        self._needs_processes()
        place = tmp_path / "beside"
        beside = workers.submit(self.work(leave_mark, str(place).encode()))
        with pytest.raises(Unavailable, match=words) as refused:
            workers.submit(self.work(die, way)).result()
        assert refused.value.code == "worker-died"
        assert "die" in refused.value.detail["output"] or way != b"crash"
        place.with_suffix(".go").touch()
        assert beside.result() == b"done"
        assert workers.submit(self.work(turn, b"ab")).result() == b"ba"

    def test_work_that_takes_too_long_is_ended(self, workers: Workers, tmp_path: Path) -> None:
        self._needs_processes()
        place = tmp_path / "work"
        worker = int(workers.submit(self.work(who, b"")).result())
        late = self.work(leave_mark, str(place).encode(), Needs(timeout_s=1.0))
        with pytest.raises(Unavailable) as refused:
            workers.submit(late).result()
        assert refused.value.code == "work-timeout"
        wait_until(lambda: not _is_alive(worker))
        assert workers.submit(self.work(turn, b"ab")).result() == b"ba"

    def test_work_that_takes_too_much_memory_is_ended(self, workers: Workers) -> None:
        self._needs_processes()
        with pytest.raises(Unavailable, match="MiB") as refused:
            workers.submit(self.work(hoard, b"", Needs(memory_mib=400))).result()
        assert refused.value.code == "worker-memory"
        assert workers.submit(self.work(turn, b"ab")).result() == b"ba"

    def test_cancelled_work_is_ended(self, workers: Workers, tmp_path: Path) -> None:
        self._needs_processes()
        place = tmp_path / "work"
        ticket = workers.submit(self.work(leave_mark, str(place).encode()))
        wait_until(lambda: place.exists() and place.read_text().endswith("\n"))
        ticket.cancel()
        wait_until(lambda: not _is_alive(int(place.read_text())))

    def test_closing_ends_all_workers(self, workers: Workers, tmp_path: Path) -> None:
        self._needs_processes()
        pids = {int(workers.submit(self.work(who, b"")).result())}
        place = tmp_path / "work"
        busy = workers.submit(self.work(leave_mark, str(place).encode()))
        wait_until(lambda: place.exists() and place.read_text().endswith("\n"))
        pids.add(int(place.read_text()))
        workers.close()
        with pytest.raises(TrivetError):
            busy.result()
        wait_until(lambda: not any(map(_is_alive, pids)))

    @pytest.mark.parametrize("way", [b"return", b"raise", b"tell"])
    def test_a_fork_of_the_worker_never_answers_for_it(self, workers: Workers, way: bytes) -> None:
        self._needs_processes()
        words: list[bytes] = []
        for number in range(2):
            forking = workers.submit(self.work(fork, way), on_word=words.append)
            assert forking.result() == b"parent"
            body = b"%d" % number
            assert workers.submit(self.work(nap, body), on_word=words.append).result() == body
        assert words == []

    @pytest.mark.parametrize(
        "what",
        [
            *(b"closed stream", b"other stream", b"other descriptor", b"timer", b"handler"),
            *(b"mask", b"variable", b"folder", b"thread"),
        ],
    )
    def test_what_work_leaves_behind_in_its_process_does_not_reach_the_next(
        self, workers: Workers, what: bytes
    ) -> None:
        self._needs_processes()
        warm = workers.submit(self.work(leave, b"nothing")).result()
        assert workers.submit(self.work(leave, what)).result() == warm
        lines: list[str] = []
        assert workers.submit(self.work(nap, b"well")).result() == b"well"
        workers.submit(self.work(speak, b"one"), on_line=lines.append).result()
        assert lines == ["one", "to the error stream", "a child", "no end of line"]
        assert workers.submit(self.work(leave, b"nothing")).result() != warm

    @pytest.mark.parametrize("what", [b"child", b"daemon", b"orphan"])
    def test_processes_that_work_leaves_behind_end_with_it(
        self, workers: Workers, what: bytes
    ) -> None:
        self._needs_processes()
        work = self.work(leave_child, what, Needs(timeout_s=20.0))
        left = int(workers.submit(work, on_line=lambda _: None).result())
        wait_until(lambda: not _is_alive(left))
        assert workers.submit(self.work(turn, b"ab")).result() == b"ba"

    def _needs_processes(self) -> None:
        if not self.are_processes:
            pytest.skip("these workers are no processes")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split(") ")[1][0] != "Z"
