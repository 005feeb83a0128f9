"""Trivet, as a user has it: a project in a folder, its flow called by name."""

import sys
from pathlib import Path

PIPELINE = """
from trivet import flow, map, step

@step
def trivial(number: int, salt: int) -> int:
    return number + salt

@flow
def many(count: int, salt: int):
    for number in range(count + 1):
        trivial(number, salt)

@flow
def mapped(count: int, salt: int):
    return {"items": len(map(trivial, range(count + 1), salt))}
"""

PRELUDE = "from trivet import File, flow, step\n"
STEP = "@step\n"
FLOW = """
@flow
def main(seed: int):
    return {"answer": answer(seed)}
"""
FLOW_WITH_FILE = """
@flow
def main(seed: int, path: File = "data.csv"):
    return {"answer": answer(seed, path)}
"""


def make_project(folder: Path, text: str | None = None) -> None:
    """Write a project's files; its flow is `pipeline:many` unless a text is given."""
    (folder / "trivet.toml").write_text('project = "bench"\ngate = ""\n', "utf-8")
    if text is not None:
        (folder / "pipeline.py").write_text(text, "utf-8")


class Subject:
    """One open workspace."""

    flow = "pipeline:many"

    def __init__(self, folder: Path) -> None:
        import trivet as tv

        make_project(folder, PIPELINE)
        self._workspace = tv.open(folder)

    def run(self, count: int, salt: int) -> None:
        self._workspace.pipelines.run(self.flow, count=count, salt=salt)

    def durability(self) -> str:
        return "kill -9 at once; power loss at once"


def perform(place: Path, seed: int) -> None:
    import trivet as tv

    make_project(place)
    with tv.open(place) as workspace:
        workspace.pipelines.run("pipeline:main", seed=seed)
    sys.modules.pop("pipeline", None)
