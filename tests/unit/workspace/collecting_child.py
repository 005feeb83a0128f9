"""Puts, deletes and restores runs of one workspace, and says what it was told is durable.

Each line is a run that stands with its content, or that was put away and may be gone.
"""

import random
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.unit.workspace.living_project import Project

from trivet.core.errors import NotFound
from trivet.tracking.reporting.facts import Report
from trivet.tracking.reporting.runs import Opening
from trivet.workspace.workspace import open as open_workspace


class Worker:
    """Makes runs, and puts some of them away again."""

    def __init__(self, own: Project, seed: int) -> None:
        self.own = own
        self.random = random.Random(seed)
        self.standing: list[str] = []

    def work(self) -> None:
        if self.standing and self.random.random() < 0.3:
            self.put_away(self.random.choice(self.standing))
        else:
            self.make()

    def make(self) -> None:
        # Few contents, so that many runs name the same bytes, which come and go.
        number = self.random.randrange(5)
        run = self.own.runs.open(Opening()).id
        self.own.files.put(f"run:{run}", "file", b"content %d" % number)
        self.own.runs.report(run, Report(tags={"n": str(number)}))
        self.standing.append(run)
        print("stands", run, number, flush=True)

    def put_away(self, run: str) -> None:
        self.own.runs.delete(run)
        if self.random.random() < 0.5:
            with suppress(NotFound):  # it was gone for good in between
                self.own.runs.restore(run)
                return
        self.standing.remove(run)
        print("away", run, flush=True)


def main(folder: str, seed: int, seconds: float) -> None:
    """Work for so many seconds."""
    with open_workspace(Path(folder), actor="ada") as workspace:
        worker = Worker(Project(workspace.stores, seed, "left"), seed)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            worker.work()


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
