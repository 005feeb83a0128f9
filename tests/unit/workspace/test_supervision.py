import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trivet.core.disk import try_lock
from trivet.core.errors import Conflict
from trivet.workspace import supervision
from trivet.workspace.supervision import Part, Supervisor, is_supervised, only_supervisor

PATIENCE_S = 30.0
FOREVER = "import time\nwhile True: time.sleep(0.05)"


def wait_until(holds: Callable[[], object]) -> None:
    """Wait for something that will come; how long it takes is not what is tested."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that is dead and not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the other one: while it is read
        return False
    return state not in {"Z", "X"}


def part(name: str, code: str, folder: Path) -> Part:
    return Part(name, [sys.executable, "-c", code], folder)


class Running:
    """A supervisor in a process of its own, as `trivet up` is one."""

    def __init__(self, folder: Path, environment: dict[str, str], *codes: str) -> None:
        script = f"""
import sys
from pathlib import Path
from trivet.workspace.supervision import Part, Supervisor
codes = {codes!r}
parts = [Part(f"part {{n}}", [sys.executable, "-c", code], Path({str(folder)!r}))
         for n, code in enumerate(codes)]
told = set()
def look():
    for p in parts:
        if p.pid and p.pid not in told:
            told.add(p.pid)
            print(p.name, p.pid, flush=True)
Supervisor(parts, lambda text: print("told:", text, flush=True), look).run()
print("stopped", flush=True)
"""
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.strip() for line in self.process.stdout)

    def pids(self) -> list[int]:
        return [int(line.split()[-1]) for line in self.lines if line.startswith("part ")]

    def end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def test_a_part_that_was_killed_is_started_again(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    running = Running(tmp_path, environment, FOREVER, FOREVER)
    wait_until(lambda: len(running.pids()) == 2)
    first, second = running.pids()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(running.pids()) == 3)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0
    assert any("was ended by SIGKILL; starting it again" in line for line in running.lines)
    assert running.lines[-1] == "stopped"
    assert not any(is_alive(pid) for pid in (*running.pids(), second))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_signal_that_means_stop_stops_all_parts(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    running = Running(tmp_path, environment, FOREVER)
    wait_until(running.pids)
    running.process.send_signal(number)
    assert running.end() == 0
    assert not any(map(is_alive, running.pids()))


def test_a_second_signal_does_not_wait_for_a_part_that_will_not_go(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    deaf = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FOREVER}"
    running = Running(tmp_path, environment, deaf)
    wait_until(running.pids)
    time.sleep(0.5)  # until it is deaf
    running.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0
    assert not any(map(is_alive, running.pids()))


def test_a_part_that_dies_at_once_waits_longer_each_time(tmp_path: Path) -> None:
    told: list[str] = []
    doomed = part("doomed", "raise SystemExit(7)", tmp_path)
    now = 1000.0
    for _ in range(5):
        doomed.tend(now, told.append)  # starts it
        wait_until(lambda: doomed.pid is None)
        doomed.tend(now, told.append)  # sees that it ended
        now += 100.0
    assert doomed.restarts == 4
    assert told == [
        f"doomed ended with exit code 7; starting it again in {pause} s"
        for pause in ("1", "2", "4", "8", "16")
    ]


def test_a_part_that_ran_well_for_a_while_starts_afresh(tmp_path: Path) -> None:
    told: list[str] = []
    steady = part("steady", "raise SystemExit(1)", tmp_path)
    for start in (1000.0, 2000.0):
        steady.tend(start, told.append)
        wait_until(lambda: steady.pid is None)
        steady.tend(start + 61.0, told.append)
    assert told == ["steady ended with exit code 1; starting it again in 0.5 s"] * 2


def test_a_file_descriptor_is_handed_down_under_its_number(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    code = f"import os\nos.write({writer}, b'here')"
    child = Part("child", [sys.executable, "-c", code], tmp_path, handed_down=[writer])
    child.tend(0.0, lambda _: None)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"here"
    assert child.wait(time.monotonic() + PATIENCE_S)


def test_there_is_one_supervisor_of_a_workspace(tmp_path: Path) -> None:
    assert not is_supervised(tmp_path)
    with only_supervisor(tmp_path):
        assert is_supervised(tmp_path)
        with (
            pytest.raises(Conflict, match="runs on this project already") as caught,
            only_supervisor(tmp_path),
        ):
            pass
    assert caught.value.code == "already-up"
    assert not is_supervised(tmp_path)
    assert (tmp_path / "up.lock").stat().st_mode & 0o077 == 0


def test_whoever_asks_for_a_supervisor_is_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_ASKED_S", PATIENCE_S)
    assert not is_supervised(tmp_path)
    with (tmp_path / "up.lock").open() as asking:
        assert try_lock(asking.fileno(), shared=True)  # as somebody does who asks
        assert not is_supervised(tmp_path)
        threading.Timer(0.1, asking.close).start()
        with only_supervisor(tmp_path):
            assert is_supervised(tmp_path)


def test_the_lock_of_a_supervisor_that_was_killed_is_free(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from trivet.workspace.supervision import only_supervisor\n"
        "with only_supervisor(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, env=environment
    )
    assert done.returncode == -signal.SIGKILL
    assert not is_supervised(tmp_path)


def test_a_supervisor_gives_signals_back_to_whom_they_belonged(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    forever = part("p", FOREVER, tmp_path)

    def look() -> None:
        if forever.pid is not None:
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor([forever], lambda _: None, look)
    supervisor.run()
    assert signal.getsignal(signal.SIGTERM) == before
    assert supervisor.parts[0].pid is None


def test_a_child_does_not_outlive_its_parent(tmp_path: Path, environment: dict[str, str]) -> None:
    child = (
        "import os, sys, time\nfrom trivet.workspace.ending import end_with_parent\n"
        "end_with_parent(int(sys.argv[1]))\nprint(os.getpid(), flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())])\n"
        "while True: time.sleep(0.05)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_alive(pid)
        process.kill()
    wait_until(lambda: not is_alive(pid))


def test_sigterm_closes_what_is_open(tmp_path: Path, environment: dict[str, str]) -> None:
    script = (
        "import time\nfrom trivet.workspace.ending import leave_on_sigterm\n"
        "leave_on_sigterm()\n"
        "try:\n    print('ready', flush=True)\n    while True: time.sleep(0.05)\n"
        "finally:\n    print('closed', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "closed\n"
    assert process.returncode == 0
