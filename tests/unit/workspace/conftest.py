import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from trivet.core.facts import HeadMove, draft
from trivet.core.ports import Points, SeriesKey
from trivet.data.facts import DataCommit
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

SOURCE = Path(__file__).parents[3] / "src"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with nothing in its stores."""
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\n')
    return folder


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with open_workspace(project, actor="ada") as workspace:
        yield workspace


@pytest.fixture
def environment() -> dict[str, str]:
    """What a child process needs to find this very Trivet."""
    return os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def python() -> str:
    return sys.executable


Fill = Callable[[Workspace], None]


@pytest.fixture
def fill() -> Fill:
    """Writes something of every shape: facts, a blob, a tree, a table, numbers, records."""

    def write(workspace: Workspace) -> None:
        frame = pl.DataFrame({"x": list(range(50)), "y": [n % 2 for n in range(50)]})
        dataset = workspace.data.publish(
            "customers",
            {"customers": frame},
            trees={"notes": {"read/me.txt": b"text " * 400}},
            source="a test",
        )
        stores = workspace.stores
        from array import array

        points = Points(array("q", range(100)), array("q", range(100)), array("d", [0.5] * 100))
        stores.series.append([(SeriesKey(dataset.id, "loss"), points)])
        stores.log.append("predictions", [b"record " * 20 for _ in range(20)])
        facts = [draft(DataCommit(dataset=f"d{n}", source="s")) for n in range(5)]
        heads = [HeadMove(name=f"data/d{n}", to=fact.id) for n, fact in enumerate(facts)]
        stores.ledger.commit(workspace.scope.batch("more", facts, heads=heads))

    return write
