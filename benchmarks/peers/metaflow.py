"""Metaflow with its local store: every step is a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

_STEP = """
    @step
    def {name}(self):
        self.value = self.salt + {number}
        self.next(self.{follower})
"""


class Subject:
    """A folder with a flow per count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, count: int, salt: int) -> None:
        place = self._folder / f"many_{count}.py"
        if not place.exists():
            place.write_text(flow_of(count), "utf-8")
        subprocess.run(
            [sys.executable, str(place), "--quiet", "--no-pylint", "run", "--salt", str(salt)],
            check=True,
            stdout=2,
            cwd=self._folder,
            env=os.environ,
        )

    def durability(self) -> str:
        return "files, unsynced; a process per step"


def flow_of(count: int) -> str:
    names = ["start", *(f"step_{number}" for number in range(1, count + 1)), "end"]
    steps = [
        _STEP.format(name=name, number=number, follower=names[number + 1])
        for number, name in enumerate(names[:-1])
    ]
    return (
        "from metaflow import FlowSpec, Parameter, step\n\n\nclass Many(FlowSpec):\n"
        '    salt = Parameter("salt", default=0)\n'
        + "".join(steps)
        + "\n    @step\n    def end(self):\n        pass\n\n\n"
        'if __name__ == "__main__":\n    Many()\n'
    )
