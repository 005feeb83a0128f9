"""Trivet, as a user has it: a project in a folder, its flow called by name."""

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


def make_project(folder: Path, text: str) -> None:
    """Write the files of a project."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trivet.toml").write_text('project = "bench"\ngate = ""\n', "utf-8")
    (folder / "pipeline.py").write_text(text, "utf-8")


class Subject:
    """One open workspace."""

    flow = "pipeline:many"
    text = PIPELINE

    def __init__(self, folder: Path) -> None:
        import trivet as tv

        make_project(folder, self.text)
        self._workspace = tv.open(folder)

    def run(self, count: int, salt: int) -> None:
        self._workspace.pipelines.run(self.flow, count=count, salt=salt)

    def durability(self) -> str:
        return "a step that returned survives kill -9 at once, power loss after at most 200 ms"
