"""The process of a subject: `python -m benchmarks.peers.driver NAME FOLDER WHAT [REST]`.

`serve` answers one JSON line per line it is sent: `[count, salt]` runs a flow of 1 + count trivial
steps, whose arguments no flow with another salt has, and answers with the seconds and the memory;
`[]` asks how durable a step is. `once COUNT SALT [FILE]` runs one flow and ends, and names in the
file the modules that were loaded. `edits` asks the caches of the folder's projects
(`performing`).

What a system prints goes to standard error: standard output is ours.
"""

import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self, TextIO

from benchmarks.peers import performing


def main(name: str, folder: str, what: str, *rest: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    subject = importlib.import_module(f"benchmarks.peers.{name}")
    if what == "edits":
        performing.each(subject.perform, Path(folder), answers)
        return
    opened = subject.Subject(Path(folder))
    if what == "serve":
        serve(opened, answers)
    else:
        count, salt, *listed = rest
        opened.run(int(count), int(salt))
        for place in listed:
            Path(place).write_text("\n".join(sys.modules), "utf-8")


def serve(opened: Any, answers: TextIO) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        tell(answers, timed(opened, *asked) if asked else {"durability": opened.durability()})


def tell(answers: TextIO, found: dict[str, Any]) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


def timed(opened: Any, count: int, salt: int) -> dict[str, Any]:
    with Memory() as memory:
        start = time.perf_counter()
        opened.run(count, salt)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "grown_mb": memory.grown_mb(), "peak_mb": memory.peak_mb()}


class Memory:
    """Looks at the process's own memory twenty times a second."""

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def grown_mb(self) -> float:
        """Return by how much the last tenth of the time was above the second."""
        tenth = max(1, len(self._seen) // 10)
        return max(self._seen[-tenth:]) - max(self._seen[tenth : 2 * tenth] or self._seen)

    def peak_mb(self) -> float:
        return max(self._seen)

    def _look(self) -> None:
        self._seen.append(resident_mb())
        while not self._end.wait(0.05):
            self._seen.append(resident_mb())
        self._seen.append(resident_mb())


def resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0.0
    return int(statm.read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
