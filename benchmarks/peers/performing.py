"""Small projects put before a cache, each in a process that was forked for it.

A project has a module `work` with a function `compute`, and `asked.json` with the Python expression
of its argument. Whether the function ran is seen from outside, by the interpreter's own hook, so
that no project says anything but what it would say without a benchmark.
"""

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self, TextIO

PATIENCE_S = 60

Perform = Callable[[Path, Callable[[Any], Any], Any], Any]


def each(perform: Perform, folder: Path, answers: TextIO) -> None:
    """Answer with one JSON line per project, in the order of their names."""
    for place in sorted(folder.glob("project*")):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            be_child(perform, place, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as told:
            line = told.read()
        os.waitpid(child, 0)
        answers.write((line or json.dumps({"error": "its process ended"})) + "\n")
        answers.flush()


def be_child(perform: Perform, place: Path, writing: int) -> NoReturn:
    signal.alarm(PATIENCE_S)
    try:
        found = one(perform, place)
    except BaseException as error:  # noqa: BLE001  # a peer may raise anything, exits included
        found = {"error": f"{type(error).__name__}: {error}"[:300]}
    with os.fdopen(writing, "w", encoding="utf-8") as told:
        told.write(json.dumps(found))
    os._exit(0)


def one(perform: Perform, place: Path) -> dict[str, Any]:
    """Ask for the answer of one project; tell it, the true one, and how often the function ran."""
    asked = json.loads((place / "asked.json").read_text("utf-8"))
    sys.path[:0] = [str(place), str(place / "site-packages")]
    os.chdir(place)
    names: dict[str, Any] = {"__file__": str(place / "asked.py")}
    exec(asked["imports"], names)  # noqa: S102  # the suite's own lines
    compute = importlib.import_module("work").compute
    with Watch(place / "work.py") as watch:
        answer = repr(perform(place, compute, eval(asked["argument"], names)))  # noqa: S307  # as above
    truth = repr(compute(eval(asked["argument"], names)))  # noqa: S307  # as above
    return {"answer": answer, "truth": truth, "calls": watch.calls}


class Watch:
    """Counts the calls of `compute` in one file, in every thread that begins from now on."""

    def __init__(self, file: Path) -> None:
        self.calls = 0
        self._file = str(file)

    def __enter__(self) -> Self:
        threading.setprofile(self._look)
        sys.setprofile(self._look)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _look(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name == "compute" and code.co_filename == self._file:
            self.calls += 1
