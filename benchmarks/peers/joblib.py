"""joblib.Memory: a function's results in files, by its arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from joblib import Memory


def trivial(number: int, salt: int) -> int:
    return number + salt


class Subject:
    """One memory."""

    def __init__(self, folder: Path) -> None:
        self._trivial = Memory(folder / "cache", verbose=0).cache(trivial)

    def run(self, count: int, salt: int) -> None:
        for number in range(count + 1):
            self._trivial(number, salt)

    def durability(self) -> str:
        return "files that are never synced: kill -9 at once, power loss when the system writes"


def perform(place: Path, compute: Callable[[Any], Any], argument: Any) -> Any:
    """Answer by the cache of a project, as a process that starts anew does."""
    return Memory(place / "cache", verbose=0).cache(compute)(argument)
