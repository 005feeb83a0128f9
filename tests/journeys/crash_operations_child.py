"""The command that the crash tests of whole operations end violently.

python crash_operations_child.py FOLDER TEMPLATE ROUNDS: copies a trained project's stores, says
`ready`, and then publishes data, registers a version, moves an alias and releases, round after
round. Each line is an operation that was acknowledged: its kind, and the fact that it made.
"""

import os
import shutil
import sys
from pathlib import Path

import polars as pl

from trivet.core.gates import Check, Gate
from trivet.workspace.workspace import open as open_workspace


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def main(folder: Path, template: Path, rounds: int) -> None:
    shutil.copytree(template, folder / "churn")
    gate = Gate(name="open", checks=(Check(name="always", ask=lambda _: True),))
    with open_workspace(folder / "churn", actor="child") as workspace:
        first = workspace.models.get("churn:1")
        package = workspace.models.open(first)
        say("ready")
        for number in range(rounds):
            frame = pl.DataFrame({"n": [number] * 40, "word": ["x" * 50] * 40})
            dataset = workspace.data.publish(
                "stream",
                {"stream": frame},
                trees={"notes": {"note.txt": f"round {number}".encode() * 99}},
                source=f"round {number}",
            )
            say(f"data {dataset.id}")
            verdict, _ = workspace.models.judge("churn", package, gate, {}, run=first.version.run)
            model = workspace.models.register(
                "churn", package, run=first.version.run, verdict_id=verdict
            )
            say(f"model {model.id}")
            workspace.models.set_alias("churn", "tried", model, f"round {number}")
            say(f"alias {model.id}")
            release = workspace.releases.release("churn", model, why=f"round {number}")
            say(f"release {release.id}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
