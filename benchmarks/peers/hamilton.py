"""Hamilton with its cache on disk: a node per function, so a node per step."""

import importlib
import sys
from pathlib import Path
from typing import Any

from hamilton import driver

PRELUDE = STEP = FLOW = FLOW_WITH_FILE = ""
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
        import sqlite3

        of_python = sqlite3.connect(":memory:").execute("PRAGMA synchronous").fetchone()[0]
        return f"metadata in SQLite (synchronous={of_python}, as Python's), values in files, unsynced"


def driver_of(module: Any, folder: Path) -> Any:
    return driver.Builder().with_modules(module).with_cache(path=str(folder / "cache")).build()


def perform(place: Path, seed: int) -> None:
    module = importlib.import_module("pipeline")
    takes_file = "path" in module.answer.__annotations__
    inputs = {"seed": seed, **({"path": "data.csv"} if takes_file else {})}
    driver_of(module, place).execute(["answer"], inputs=inputs)
