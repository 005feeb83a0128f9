"""Random kills: several workers execute runs while they are killed and paused at any instant.

`sweep(folder, ...)` makes a project whose runs have steps and an effect, lets workers take the runs
from the journal, and kills (SIGKILL) or pauses (SIGSTOP, for longer than a lease) one of them again
and again: the first while it is in the middle of a run, the others whatever they do. At the end
every run that was asked for must have ended well exactly once, every result must be there exactly
once, and a receiver that honours idempotency keys must have seen each effect once. A worker that
was paused for too long must have been fenced: nothing of it counts.

Workers are forked from a process that has imported everything and opened nothing.
"""

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

import trivet as tv
from trivet.core.errors import Conflict, TrivetError
from trivet.core.facts import TaskMove, TaskNew
from trivet.core.ports import Damage, Task
from trivet.pipelines.facts import StepDone
from trivet.pipelines.requests import QUEUE, RunRequest, new_task
from trivet.pipelines.tenure import new_owner
from trivet.tracking.facts import RunFinished, RunStarted
from trivet.workspace.workspace import Workspace

STEPS = 6
PATIENCE_S = 60.0
"""How long the workers may take for what is left once nobody kills them any more."""
LEASE_S = 0.4
EVERY_S = 0.12
"""On average, one worker is killed or paused so often."""
PAUSED = 0.2
"""The share of blows that pause a worker for longer than its lease."""
SETTINGS = 'project = "kills"\ngate = ""\n'
FLOW = f"""
import os, time
from trivet import effect, flow, step
from trivet.pipelines.context import current

@step
def part(order: int, number: int) -> int:
    sign = f"at-work-{{os.getpid()}}"
    os.close(os.open(sign, os.O_WRONLY | os.O_CREAT))
    time.sleep(0.02)
    os.unlink(sign)
    return order * 100 + number

@effect
def send(order: int) -> int:
    key = current().effect_key
    descriptor = os.open("sent.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{{order}} {{key}}\\n".encode())
    os.close(descriptor)
    return order

@flow
def work(order: int):
    total = sum(part(order, number) for number in range({STEPS}))
    send(order)
    return {{"total": total}}
"""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Everything but `kills`, `pauses`, `runs`, `attempts`, `fenced` must be 0."""

    kills: int
    pauses: int
    runs: int
    attempts: int
    fenced: int
    """Writes of workers that came back too late, all of them refused."""
    lost: int
    """Runs that never ended well, results and effects that are missing."""
    doubled: int
    """Runs that ended well twice, results that are there twice, effects with two keys."""
    wrong: int
    """Runs with another result than the right one, other errors, and damage in the ledger."""


def sweep(folder: Path, *, kills: int, runs: int, workers: int = 4, seed: int = 0) -> Report:
    """Kill and pause workers until so many kills were done; let the rest be done in peace."""
    folder.mkdir(parents=True)
    (folder / "trivet.toml").write_text(SETTINGS)
    (folder / "killing.py").write_text(FLOW)
    with tv.open(folder) as workspace:
        # Asked for one after the other, so that what a worker left behind is soon taken over.
        spread_s, now = kills * EVERY_S / runs, datetime.now(UTC)
        tasks = [_task(i, now + timedelta(seconds=i * spread_s)) for i in range(runs)]
        workspace.stores.ledger.commit(workspace.scope.batch("ask", tasks=tasks))
    chance = random.Random(seed)  # no secret: which worker dies when
    crew = [_hire(folder) for _ in range(workers)]
    back = [0.0] * workers
    # However busy the machine is, and however seldom it is by chance: one dies in the middle.
    place = _catch_at_work(folder, crew)
    _kill(crew[place])
    crew[place] = _hire(folder)
    done = Counter(kill=1)
    while done["kill"] < kills:
        time.sleep(chance.uniform(0.0, 2 * EVERY_S))
        # Who was paused comes back, so that there are late writers to be fenced.
        awake = [place for place in range(workers) if back[place] < time.monotonic()]
        place = chance.choice(awake)
        if len(awake) > 1 and chance.random() < PAUSED:
            seconds = chance.uniform(1.5, 3.0) * LEASE_S
            back[place] = time.monotonic() + seconds + EVERY_S
            _pause(crew[place], seconds)
            done["pause"] += 1
        else:
            _kill(crew[place])
            crew[place] = _hire(folder)
            done["kill"] += 1
    _let_finish(folder, crew)
    return _examine(folder, kills=done["kill"], pauses=done["pause"], runs=runs)


def _task(number: int, due: datetime) -> TaskNew:
    request = RunRequest(flow="killing:work", parameters={"order": number})
    task = new_task(request, key=f"request-{number}", max_attempts=100_000)
    return msgspec.structs.replace(task, due=due)


def _hire(folder: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _work(folder)
    finally:
        os._exit(1)


def _catch_at_work(folder: Path, crew: list[int]) -> int:
    """Wait until a worker is in a step, and stop it there; return its place."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for place, pid in enumerate(crew):
            sign = folder / f"at-work-{pid}"
            if not sign.exists():
                continue
            os.kill(pid, signal.SIGSTOP)
            os.waitpid(pid, os.WUNTRACED)
            if sign.exists():
                return place
            os.kill(pid, signal.SIGCONT)  # it was quicker
        time.sleep(0.001)
    raise TimeoutError(f"no worker began a step within {PATIENCE_S} s")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _pause(pid: int, seconds: float) -> None:
    """Stop a worker for longer than its lease, while the others go on; then let it come back."""
    os.kill(pid, signal.SIGSTOP)

    def wake() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    timer = threading.Timer(seconds, wake)
    timer.daemon = True
    timer.start()


def _let_finish(folder: Path, crew: list[int]) -> None:
    end = time.monotonic() + PATIENCE_S
    with tv.open(folder) as workspace:
        while time.monotonic() < end:
            tasks = workspace.stores.journal.tasks(QUEUE, limit=100_000)
            if all(task.state == "done" for task in tasks):
                break
            time.sleep(0.1)
    for pid in crew:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        _kill(pid)


def _work(folder: Path) -> None:
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    owner = new_owner()
    with tv.open(folder) as workspace:
        while True:
            for task in workspace.stores.journal.claim(QUEUE, owner=owner, lease_s=LEASE_S):
                _execute(workspace, task)
            time.sleep(0.005)


def _execute(workspace: Workspace, task: Task) -> None:
    move = TaskMove(key=task.key, owner=task.owner or "", epoch=task.epoch, state="done")
    try:
        with _kept(workspace, task):
            workspace.pipelines.execute(task)
        workspace.stores.ledger.commit(workspace.scope.batch("done", tasks=[move]))
    except Conflict as error:
        _note("fenced.txt", error.code)
    except Exception as error:  # noqa: BLE001  # the edge of a user's step: the report counts it
        _note("errors.txt", repr(error))


def _note(name: str, text: str) -> None:
    with Path(name).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@contextmanager
def _kept(workspace: Workspace, task: Task) -> Generator[None]:
    over = threading.Event()

    def keep() -> None:
        while not over.wait(LEASE_S / 4):
            try:
                workspace.stores.journal.extend(task, LEASE_S)
            except TrivetError:
                return

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _examine(folder: Path, *, kills: int, pauses: int, runs: int) -> Report:
    with tv.open(folder) as workspace:
        ledger = workspace.stores.ledger
        damage = sum(isinstance(found, Damage) for found in ledger.verify())
        started = _all(workspace, RunStarted.KIND)
        steps = [msgspec.json.decode(entry, type=StepDone) for entry in _all(workspace, "step")]
        ended = [(number, run) for number in range(runs) for run in _well_ended(workspace, number)]
    endings = Counter(number for number, _ in ended)
    wrong = damage + len(_lines(folder, "errors.txt"))
    wrong += sum(end.metrics != {"total": _total(number)} for number, end in ended)
    made = Counter(step.known_by for step in steps if step.known_by and step.step == "part")
    effects: dict[int, set[str]] = {}
    for line in _lines(folder, "sent.txt"):
        number, key = line.split()
        effects.setdefault(int(number), set()).add(key)
    return Report(
        kills=kills,
        pauses=pauses,
        runs=runs,
        attempts=len(started),
        fenced=len(_lines(folder, "fenced.txt")),
        lost=(runs - len(endings)) + (runs * STEPS - len(made)) + (runs - len(effects)),
        doubled=sum(count - 1 for count in (*endings.values(), *made.values()))
        + sum(len(keys) - 1 for keys in effects.values()),
        wrong=wrong,
    )


def _well_ended(workspace: Workspace, number: int) -> list[RunFinished]:
    runs = workspace.tracking.runs(request=f"request-{number}", limit=1000)
    return [run.finished for run in runs if run.finished and run.status == "succeeded"]


def _total(number: int) -> float:
    return float(sum(number * 100 + part for part in range(STEPS)))


def _all(workspace: Workspace, kind: str) -> list[bytes]:
    found: list[bytes] = []
    after: int | None = None
    while True:
        page = workspace.stores.ledger.find(kind, after=after, limit=1000, newest_first=False)
        found += [entry.payload for entry in page.entries if entry.payload is not None]
        after = page.after
        if after is None:
            return found


if __name__ == "__main__":
    print(json.dumps(msgspec.to_builtins(sweep(
        Path(sys.argv[1]).resolve(), kills=int(sys.argv[2]), runs=int(sys.argv[3])
    ))))  # fmt: skip
