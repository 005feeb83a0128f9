"""joblib.Memory: a function's results in files, by its arguments."""

import importlib
from pathlib import Path

from joblib import Memory

PRELUDE = """from pathlib import Path

from joblib import Memory

memory = Memory(Path(__file__).parent / "cache", verbose=0)
"""
STEP = "@memory.cache\n"
FLOW = """
def main(seed):
    answer(seed)
"""
FLOW_WITH_FILE = """
def main(seed):
    answer(seed, "data.csv")
"""


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


def perform(place: Path, seed: int) -> None:
    importlib.import_module("pipeline").main(seed)
