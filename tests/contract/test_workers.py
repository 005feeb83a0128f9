"""What every `Workers` does, shown on the warm processes of this machine and on threads."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trivet.adapters.process.pool import ProcessPool, _Place
from trivet.core.errors import Invalid, Unavailable
from trivet.core.work import Needs, Work
from trivet.testing.contracts.workers import WorkersContract, wait_until
from trivet.testing.memory_workers import MemoryWorkers

SOURCE = Path(__file__).parents[2] / "src"


def a_pool(folder: Path) -> ProcessPool:
    return ProcessPool(folder / "environments", cpus=2, gpus=())


def in_memory(folder: Path) -> MemoryWorkers:
    return MemoryWorkers(2)


class TestProcessPool(WorkersContract):
    open_workers = staticmethod(a_pool)


class TestMemoryWorkers(WorkersContract):
    open_workers = staticmethod(in_memory)
    are_processes = False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder, whose modules workers import."""
    place = tmp_path / "project"
    place.mkdir()
    return place


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ProcessPool]:
    pool = ProcessPool(tmp_path / "environments", cpus=2, gpus=("4", "7"))
    yield pool
    pool.close()


def work(folder: Path, entry: str, body: bytes = b"", **needs: int) -> Work:
    paths = (str(folder), *sys.path)
    return Work(entry=entry, body=body, folder=str(folder), paths=paths, needs=Needs(**needs))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split(") ")[1][0] != "Z"


def test_a_worker_never_answers_with_code_that_was_edited(pool: ProcessPool, folder: Path) -> None:
    module = folder / "edited.py"
    for number in range(10, 30):  # the same second, the same size, and compiled files allowed
        module.write_text(f"def entry(body, tell):\n    return b'{number}'\n")
        assert pool.submit(work(folder, "edited:entry")).result() == str(number).encode()


def test_an_edit_of_a_module_that_another_imports_counts_too(
    pool: ProcessPool, folder: Path
) -> None:
    (folder / "outer.py").write_text(
        "import inner\ndef entry(body, tell):\n    return inner.value\n"
    )
    for number in range(5):
        (folder / "inner.py").write_text(f"value = b'{number}'\n")
        assert pool.submit(work(folder, "outer:entry")).result() == str(number).encode()


def test_whoever_hears_of_a_result_finds_its_worker_free(
    pool: ProcessPool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = _Place.settle

    def settle_and_be_held_up(place: _Place, **outcome: Any) -> None:
        settle(place, **outcome)
        time.sleep(0.1)

    monkeypatch.setattr(_Place, "settle", settle_and_be_held_up)
    (folder / "own.py").write_text("import os\ndef entry(*_):\n    return b'%d' % os.getpid()\n")
    assert len({pool.submit(work(folder, "own:entry")).result() for _ in range(3)}) == 1


def test_a_caller_may_have_thousands_of_files_open(pool: ProcessPool, folder: Path) -> None:
    (folder / "echo.py").write_text("def entry(body, tell):\n    return body\n")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, limits[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        while stack.enter_context((folder / "echo.py").open()).fileno() < 1100:
            pass
        assert pool.submit(work(folder, "echo:entry", b"tea")).result() == b"tea"


def test_two_workers_draw_different_random_numbers(pool: ProcessPool, folder: Path) -> None:
    (folder / "drawing.py").write_text(
        "import os, random, numpy\n"
        "def entry(body, tell):\n"
        "    return f'{random.random()} {numpy.random.random()}'.encode()\n"
        "def die(body, tell):\n    os.kill(os.getpid(), 9)\n"
    )
    warm = ("random", "numpy", "numpy.random")
    drawing = msgspec.structs.replace(work(folder, "drawing:entry"), warm=warm)
    first = pool.submit(drawing).result().split()
    with pytest.raises(Unavailable):
        pool.submit(work(folder, "drawing:die")).result()
    second = pool.submit(drawing).result().split()
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_graphics_processors_are_handed_out_and_the_others_hidden(
    pool: ProcessPool, folder: Path
) -> None:
    (folder / "seeing.py").write_text(
        "import os, pathlib, time\n"
        "def entry(body, tell):\n"
        "    seen = os.environ['CUDA_VISIBLE_DEVICES']\n"
        "    pathlib.Path(f'saw-{seen}').touch()\n"
        "    while body and len(list(pathlib.Path().glob('saw-*'))) < int(body): time.sleep(0.01)\n"
        "    return seen.encode()\n"
    )
    seeing = work(folder, "seeing:entry", b"2", gpus=1)
    tickets = [pool.submit(seeing), pool.submit(seeing)]
    assert {ticket.result() for ticket in tickets} == {b"4", b"7"}
    assert pool.submit(work(folder, "seeing:entry", gpus=2)).result() == b"4,7"
    assert pool.submit(work(folder, "seeing:entry")).result() == b""
    assert pool.width(Needs(gpus=2)) == 1


def test_work_that_nobody_has_memory_for_is_refused(tmp_path: Path) -> None:
    pool = ProcessPool(tmp_path, cpus=2, memory_mib=1000)
    assert pool.width(Needs(memory_mib=600)) == 1
    with pytest.raises(Invalid, match="memory_mib=1001"):
        pool.submit(work(tmp_path, "any:thing", memory_mib=1001))
    pool.close()


def test_the_death_of_the_nursery_costs_no_more_than_the_work_under_way(
    pool: ProcessPool, folder: Path
) -> None:
    (folder / "orphan.py").write_text(
        "import os, time\n"
        "def parent(body, tell):\n    return str(os.getppid()).encode()\n"
        "def wait(body, tell):\n    tell(str(os.getpid()).encode())\n    time.sleep(600)\n"
    )
    nursery = int(pool.submit(work(folder, "orphan:parent")).result())
    words: list[bytes] = []
    busy = pool.submit(work(folder, "orphan:wait"), on_word=words.append)
    wait_until(lambda: bool(words))
    os.kill(nursery, signal.SIGKILL)
    with pytest.raises(Unavailable) as refused:
        busy.result()
    assert refused.value.code == "worker-died"
    wait_until(lambda: not is_alive(int(words[0])))
    assert int(pool.submit(work(folder, "orphan:parent")).result()) != nursery


def test_what_a_worker_started_ends_when_the_nursery_is_killed(
    pool: ProcessPool, folder: Path
) -> None:
    (folder / "waiting.py").write_text(WAITING)
    words: list[bytes] = []
    busy = pool.submit(work(folder, "waiting:entry"), on_word=words.append)
    wait_until(lambda: bool(words))
    worker, nursery, child = map(int, words[0].split())
    os.kill(nursery, signal.SIGKILL)
    with pytest.raises(Unavailable):
        busy.result()
    wait_until(lambda: not is_alive(worker) and not is_alive(child))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts them")
def test_what_left_its_workers_group_ends_with_the_worker(pool: ProcessPool, folder: Path) -> None:
    detached = WAITING.replace('600)"])', '600)"], start_new_session=True)')
    (folder / "waiting.py").write_text(detached)
    words: list[bytes] = []
    busy = pool.submit(work(folder, "waiting:entry"), on_word=words.append)
    wait_until(lambda: bool(words))
    worker, _, child = map(int, words[0].split())
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(Unavailable):
        busy.result()
    wait_until(lambda: not is_alive(child))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts them")
def test_what_left_its_workers_group_ends_when_the_workers_are_closed(
    pool: ProcessPool, folder: Path
) -> None:
    detached = WAITING.replace('600)"])', '600)"], start_new_session=True)')
    (folder / "waiting.py").write_text(detached)
    words: list[bytes] = []
    pool.submit(work(folder, "waiting:entry"), on_word=words.append)
    wait_until(lambda: bool(words))
    pool.close()
    wait_until(lambda: not any(map(is_alive, map(int, words[0].split()))))


def test_a_listener_that_fails_ends_its_work_and_the_error_comes_out(
    pool: ProcessPool, folder: Path
) -> None:
    (folder / "talking.py").write_text(
        "import time\ndef entry(body, tell):\n    tell(b'x')\n    time.sleep(600)\n"
    )

    def fail(word: bytes) -> None:
        raise LookupError(word)

    with pytest.raises(LookupError):
        pool.submit(work(folder, "talking:entry"), on_word=fail).result()


def test_hundreds_of_submitters_get_their_own_answers(pool: ProcessPool, folder: Path) -> None:
    (folder / "echo.py").write_text("def entry(body, tell):\n    return body\n")
    wrong: list[int] = []

    def one(number: int) -> None:
        for turn in range(20):
            body = b"%d/%d" % (number, turn)
            if pool.submit(work(folder, "echo:entry", body)).result() != body:
                wrong.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


CALLER = """
import sys, time
from pathlib import Path
from trivet.adapters.process.pool import ProcessPool
from trivet.core.work import Work
folder = Path(sys.argv[1])
pool = ProcessPool(folder / "environments", cpus=2)
work = Work(entry="waiting:entry", body=b"", folder=str(folder), paths=(str(folder), *sys.path))
import polars  # it takes Ctrl-C over, and must not keep it
tickets = [pool.submit(work, on_word=lambda w: print(w.decode(), flush=True)) for _ in range(2)]
try:
    tickets[0].result()
except KeyboardInterrupt:
    pool.close()
    print("closed", flush=True)
"""
WAITING = """
import os, subprocess, sys, time
def entry(body, tell):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    tell(f"{os.getpid()} {os.getppid()} {child.pid}".encode())
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""


@pytest.fixture
def caller(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program with two workers that never end by themselves."""
    (folder / "waiting.py").write_text(WAITING)
    process = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    yield process
    process.kill()
    process.communicate()


def pids_of(caller: "subprocess.Popen[str]") -> set[int]:
    assert caller.stdout is not None
    return {int(pid) for _ in range(2) for pid in caller.stdout.readline().split()}


def test_workers_and_what_they_started_end_when_the_caller_is_killed(
    caller: "subprocess.Popen[str]",
) -> None:
    pids = pids_of(caller)
    assert len(pids) == 5  # two workers, a child of each, one nursery
    caller.kill()
    caller.wait()
    wait_until(lambda: not any(map(is_alive, pids)))


def test_ctrl_c_reaches_the_caller_alone_who_ends_the_rest(
    caller: "subprocess.Popen[str]",
) -> None:
    pids = pids_of(caller)
    time.sleep(0.2)
    caller.send_signal(signal.SIGINT)
    assert caller.communicate(timeout=30)[0] == "closed\n"
    assert caller.returncode == 0
    wait_until(lambda: not any(map(is_alive, pids)))


def test_what_a_module_sets_when_it_is_imported_is_no_trace_of_work(
    pool: ProcessPool, folder: Path
) -> None:
    (folder / "quiet.py").write_text(
        "import os, signal, threading, time\n"
        "os.environ['QUIET_THREADS'] = '1'\n"
        "os.environ.pop('HOME', None)\n"
        "signal.signal(signal.SIGUSR2, signal.SIG_IGN)\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    (folder / "lazy.py").write_text(
        "import os\n"
        "def entry(body, tell):\n"
        "    if body: os.environ['STEP'] = 'yes'\n"
        "    import quiet\n"
        "    assert quiet.__spec__.loader.get_source('quiet').startswith('import os')\n"
        "    said = [os.environ.get(name) for name in ('QUIET_THREADS', 'HOME', 'STEP')]\n"
        "    return f'{os.getpid()} {said}'.encode()\n"
    )
    first, second = (pool.submit(work(folder, "lazy:entry")).result() for _ in range(2))
    assert first == second
    assert first.decode().endswith("['1', None, None]")
    third = pool.submit(work(folder, "lazy:entry", b"set")).result()
    fourth, fifth = (
        pool.submit(work(folder, "lazy:entry", body)).result() for body in (b"set", b"")
    )
    assert third.split()[0] == first.split()[0] != fourth.split()[0] != fifth.split()[0]
    assert fifth.decode().endswith("['1', None, None]")
