"""Hamilton with its cache on disk: a node per function, so a node per step."""

import importlib
import inspect
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hamilton import ad_hoc_utils, driver

_MOST = 200


class Subject:
    """One driver over a module of so many functions."""

    def __init__(self, folder: Path) -> None:
        text = "".join(
            f"def step_{number}(salt: int) -> int:\n    return salt + {number}\n\n\n"
            for number in range(_MOST + 1)
        )
        (folder / "nodes.py").write_text(text, "utf-8")
        sys.path.insert(0, str(folder))
        self._driver = driver_of(importlib.import_module("nodes"), folder)

    def run(self, count: int, salt: int) -> None:
        names = [f"step_{number}" for number in range(count + 1)]
        self._driver.execute(names, inputs={"salt": salt})

    def durability(self) -> str:
        of_python = sqlite3.connect(":memory:").execute("PRAGMA synchronous").fetchone()[0]
        return (
            f"metadata in SQLite (synchronous={of_python}, as Python's), values in files, unsynced"
        )


def driver_of(module: Any, folder: Path) -> Any:
    return driver.Builder().with_modules(module).with_cache(path=str(folder / "cache")).build()


def perform(place: Path, compute: Callable[[Any], Any], argument: Any) -> Any:
    """Answer by the cache of a project, as a process that starts anew does."""
    (name,) = inspect.signature(compute).parameters
    compute.__annotations__.update({name: object, "return": object})
    module = ad_hoc_utils.create_temporary_module(compute, module_name="nodes")
    return driver_of(module, place).execute(["compute"], inputs={name: argument})["compute"]
