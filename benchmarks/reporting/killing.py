"""`kill -9`, counted: of the server while clients log, and of programs while they log.

Clients speak MLflow's wire, each point in a call of its own, and send it again when they got no
answer, as MLflow's clients do. At the end every point that was promised must be there, and every
point at most once. Programs are forked from a process that has imported everything and opened
nothing.
"""

import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import trivet as tv
from benchmarks.load import ROOT, environment
from benchmarks.parts import Rows
from benchmarks.reporting.ingesting import answer_of, call, history
from benchmarks.reporting.servers import SETTINGS, Place, trivet_server
from benchmarks.serving import free_port

KILLS, QUICK_KILLS = 200, 20
CLIENTS = 4
FLUSH_EVERY = 50
_TIME_MS = 1_700_000_000_000
_PAUSE_S = 0.02

Tally = dict[str, int]


def rows(quick: bool) -> Rows:
    """Kill servers, then programs; count what was lost and what is there twice."""
    kills = QUICK_KILLS if quick else KILLS
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        servers = of_server(Path(scratch) / "server", kills)
        programs = of_programs_apart(Path(scratch) / "programs", kills)
    return [
        row("kill -9 of the server: acknowledged points lost or doubled", kills, servers,
            f"{CLIENTS} clients on MLflow's wire, a point a call, sent again when unanswered"),
        row("kill -9 of programs: flushed points lost or doubled", kills, programs,
            f"own client, flushed every {FLUSH_EVERY} points, killed at any instant of its life"),
    ]  # fmt: skip


def row(what: str, kills: int, found: Tally, mode: str) -> dict[str, Any]:
    bad = found["lost"] + found["doubled"]
    return {
        "what": what,
        "value": bad,
        "unit": f"in {kills:,} kills",
        "target": 0,
        "floor": None,
        "ratio": None,
        "ok": bad == 0,
        "peer": None,
        "better": "low",
        "mode": f"{found['lost']:,} lost, {found['doubled']:,} doubled of "
        f"{found['promised']:,} promised; {mode}",
    }


def counted(runs: Iterable[tuple[int, list[int]]]) -> Tally:
    """Count what is lost and doubled.

    Args:
        runs: Of each run how many steps were promised, from 0 on, and the steps that are there.
    """
    tally = {"promised": 0, "lost": 0, "doubled": 0}
    for promised, there in runs:
        tally["promised"] += promised
        tally["lost"] += len(set(range(promised)) - set(there))
        tally["doubled"] += len(there) - len(set(there))
    return tally


# ------------------------------------------------------------------ the server


def of_server(folder: Path, kills: int) -> Tally:
    """Kill the server at random instants under load; start it again on its port."""
    port, chance = free_port(), random.Random(1)
    with trivet_server(folder, port=port) as place:
        loggers = [Logger(place) for _ in range(CLIENTS)]
    for logger in loggers:
        logger.start()
    for _ in range(kills):
        with trivet_server(folder, port=port) as place:
            time.sleep(chance.uniform(0.0, 0.5))
            place.process.kill()
    with trivet_server(folder, port=port) as place:
        for logger in loggers:
            logger.stop()
        return counted((each.acknowledged, steps_of(place, each.run)) for each in loggers)


def steps_of(place: Place, run: str) -> list[int]:
    return [point["step"] for point in history(place, run, "loss")]


class Logger:
    """A client that logs point by point, and sends each until it has its answer."""

    def __init__(self, place: Place) -> None:
        made = call(place, "/runs/create", {"experiment_id": "0"})
        self.run: str = made["run"]["info"]["run_id"]
        self.acknowledged = 0
        self._place = place
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._log, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _log(self) -> None:
        while not self._over.is_set():
            point = {"key": "loss", "value": 0.5, "timestamp": _TIME_MS, "step": self.acknowledged}
            try:
                answer_of(self._place, "/runs/log-metric", {"run_id": self.run, **point})
            except (OSError, http.client.HTTPException):
                time.sleep(_PAUSE_S)
            else:
                self.acknowledged += 1


# ---------------------------------------------------------------- the programs


def of_programs_apart(folder: Path, kills: int) -> Tally:
    """Kill programs, in a process that forks them while it holds nothing open."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reporting.killing", str(folder), str(kills)],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def of_programs(folder: Path, kills: int) -> Tally:
    """Fork programs that log, two at a time, and kill each at a random instant."""
    folder.mkdir(parents=True)
    (folder / "trivet.toml").write_text(SETTINGS, "utf-8")
    chance = random.Random(2)
    said: list[Path] = []
    living: list[int] = []
    for number in range(kills):
        said.append(folder / f"said-{number}.txt")
        living.append(forked(folder, said[-1]))
        time.sleep(chance.uniform(0.02, 0.6))
        if len(living) > 1:
            end(living.pop(0))
    for pid in living:
        end(pid)
    with tv.open(folder) as workspace:
        metrics = workspace.tracking.reported.metrics
        return counted(
            (promised, [point.step for point in metrics.history(run, "loss")])
            for run, promised in filter(None, map(read, said))
        )


def forked(folder: Path, said: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        log_for_ever(folder, said)
    finally:
        os._exit(1)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def log_for_ever(folder: Path, said: Path) -> None:
    """Log, and say after each flush how many steps are promised."""
    with tv.open(folder) as workspace, said.open("w") as file:
        run = workspace.tracking.begin("killed", folder=folder)
        file.write(f"{run.id}\n")
        for step in itertools.count():
            run.log(loss=step / 7, step=step)
            if (step + 1) % FLUSH_EVERY == 0:
                run.flush()
                file.write(f"{step + 1}\n")
                file.flush()


def read(said: Path) -> tuple[str, int] | None:
    """Return a program's run and how many steps it was promised; None before it begins."""
    whole = said.read_text("utf-8").rpartition("\n")[0] if said.exists() else ""
    run, *promised = whole.split("\n")
    return (run, int(promised[-1]) if promised else 0) if run else None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        # What opening imports late is imported now, elsewhere; nothing stays open.
        (Path(scratch) / "trivet.toml").write_text(SETTINGS, "utf-8")
        tv.open(scratch).close()
    print(json.dumps(of_programs(Path(sys.argv[1]).resolve(), int(sys.argv[2]))))
