"""What every `Runner` does, shown on child processes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from trivet.adapters.process.runner import ProcessRunner
from trivet.core.errors import Unavailable
from trivet.core.work import Job, Runner


@pytest.fixture
def runner() -> Runner:
    return ProcessRunner(grace_s=0.5)


def python(folder: Path, code: str, **options: object) -> Job:
    return Job(arguments=(sys.executable, "-c", code), folder=str(folder), **options)  # type: ignore[arg-type]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let an hour pass for the runner, whenever the job says that it has begun."""
    passed_s = [0.0]

    def pass_an_hour() -> None:
        passed_s[0] += 3600.0

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed_s[0], sleep=time.sleep)
    monkeypatch.setattr("trivet.adapters.process.runner.time", clock)
    return pass_an_hour


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split(") ")[1][0] != "Z"


def test_a_job_ends_with_its_exit_code_and_what_it_printed(runner: Runner, tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    outcome = runner.run(python(tmp_path, code))
    assert outcome.exit_code == 3
    assert outcome.output.splitlines() == ["out", "err"]
    assert outcome.seconds > 0


def test_each_line_is_handed_on_as_it_is_printed(runner: Runner, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = (
        "import os, time\nprint('first')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('second')\n"
    )
    lines: list[str] = []

    def see(line: str) -> None:
        lines.append(line)
        gate.touch()

    assert runner.run(python(tmp_path, code), see).exit_code == 0
    assert lines == ["first", "second"]


def test_only_the_tail_of_a_long_output_is_kept(runner: Runner, tmp_path: Path) -> None:
    code = "for n in range(30000): print(n)"
    lines: list[str] = []
    outcome = runner.run(python(tmp_path, code), lines.append)
    assert len(outcome.output.encode()) <= 64 << 10
    assert outcome.output.endswith("29999\n")
    assert lines == [str(number) for number in range(30000)]


def test_a_listener_may_take_longer_than_the_job(runner: Runner, tmp_path: Path) -> None:
    lines: list[str] = []

    def see(line: str) -> None:
        time.sleep(0.02)
        lines.append(line)

    assert runner.run(python(tmp_path, "for n in range(150): print(n)"), see).exit_code == 0
    assert lines == [str(number) for number in range(150)]


@pytest.mark.parametrize("pause", ["0.01", "600"])
def test_a_grandchild_that_keeps_the_pipe_does_not_keep_its_caller(
    runner: Runner, tmp_path: Path, pause: str
) -> None:
    code = (
        "import subprocess\n"
        f"loop = ['sh', '-c', 'while :; do sleep {pause}; echo and on; done']\n"
        "print(subprocess.Popen(loop, start_new_session=True).pid)"
    )
    outcome = runner.run(python(tmp_path, code))
    loop = int(outcome.output.splitlines()[0])
    assert is_alive(loop)
    os.killpg(loop, signal.SIGKILL)


def test_output_that_is_no_text_or_has_no_end_of_line_is_no_obstacle(
    runner: Runner, tmp_path: Path
) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'\xff' + b'x' * 200000)"
    outcome = runner.run(python(tmp_path, code))
    assert outcome.exit_code == 0
    assert outcome.output == "x" * (64 << 10)


def test_a_job_has_its_own_folder_and_environment_and_nothing_of_ours(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "1")
    monkeypatch.setenv("TRIVET_TOKEN", "1")
    monkeypatch.setenv("TRIVET_PROJECT", "churn")
    code = "import os; print(os.getcwd()); print(sorted(os.environ))"
    outcome = runner.run(python(tmp_path, code, environment={"RATE": "0.5"}))
    folder, names = outcome.output.splitlines()
    assert Path(folder) == tmp_path.resolve()
    assert "RATE" in names
    assert "TRIVET_PROJECT" in names
    assert "SECRET" not in names
    assert "TOKEN" not in names


def test_nothing_can_be_asked_of_the_keyboard(runner: Runner, tmp_path: Path) -> None:
    assert (
        runner.run(python(tmp_path, "import sys; print(repr(sys.stdin.read()))")).output == "''\n"
    )


def test_a_job_over_its_time_limit_is_ended(
    runner: Runner, tmp_path: Path, late: Callable[[], None]
) -> None:
    code = "import time; print('begun'); time.sleep(600)"
    with pytest.raises(Unavailable) as refused:
        runner.run(python(tmp_path, code, timeout_s=600.0), lambda _: late())
    assert refused.value.code == "job-timeout"
    assert refused.value.detail["output"] == "begun\n"


def test_a_job_is_ended_when_that_is_asked_for(runner: Runner, tmp_path: Path) -> None:
    stop = threading.Event()
    code = "import time; print('begun', flush=True); time.sleep(600)"
    outcome = runner.run(python(tmp_path, code), lambda _: stop.set(), stop=stop)
    assert (outcome.exit_code, outcome.output) == (-signal.SIGTERM, "begun\n")


def test_a_job_that_will_not_end_is_killed(
    runner: Runner, tmp_path: Path, late: Callable[[], None]
) -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    with pytest.raises(Unavailable) as refused:
        runner.run(python(tmp_path, code, timeout_s=600.0), lambda _: late())
    pid = int(refused.value.detail["output"])
    wait_until(lambda: not is_alive(pid))


def test_a_job_takes_its_children_with_it(runner: Runner, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid)"
    )
    outcome = runner.run(python(tmp_path, code))
    assert outcome.exit_code == 0
    wait_until(lambda: not is_alive(int(outcome.output)))


def test_a_job_that_dies_of_a_signal_says_which(runner: Runner, tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert runner.run(python(tmp_path, code)).exit_code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("arguments", "folder"), [(("/nowhere/program",), "."), ((sys.executable,), "/nowhere")]
)
def test_a_job_that_cannot_be_started_says_so(
    runner: Runner, arguments: tuple[str, ...], folder: str
) -> None:
    with pytest.raises(Unavailable, match="could not be started"):
        runner.run(Job(arguments=arguments, folder=folder))


def test_an_error_in_the_listener_ends_the_job_and_comes_out(
    runner: Runner, tmp_path: Path
) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    pids: list[int] = []

    def fail(line: str) -> None:
        pids.append(int(line))
        raise LookupError(line)

    with pytest.raises(LookupError):
        runner.run(python(tmp_path, code), fail)
    wait_until(lambda: not is_alive(pids[0]))


def test_an_interrupted_caller_leaves_no_job_behind(runner: Runner, tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        runner.run(python(tmp_path, code), interrupt)
    wait_until(lambda: not is_alive(pids[0]))


def test_jobs_run_side_by_side(runner: Runner, tmp_path: Path) -> None:
    code = "import os; print(os.environ['NUMBER'])"
    found: dict[int, str] = {}

    def one(number: int) -> None:
        job = python(tmp_path, code, environment={"NUMBER": str(number)})
        found[number] = runner.run(job).output.strip()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number) for number in range(4)}
