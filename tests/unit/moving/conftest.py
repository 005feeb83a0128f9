"""A workspace on disk, and stores of strangers to import from."""

import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet.core.moving import Holdings
from trivet.moving.bringing import Wishes
from trivet.moving.facts import Moved
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

FIXTURES = Path(__file__).parents[2] / "fixtures" / "moving"
EVERYTHING = Wishes()

Bring = Callable[..., Moved]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "moved"\n')
    with open_workspace(folder) as opened:
        yield opened


@pytest.fixture
def bring(workspace: Workspace) -> Bring:
    def bring(holdings: Holdings, wishes: Wishes = EVERYTHING) -> Moved:
        try:
            return workspace.moving.bring(holdings, wishes, lambda _: None)
        finally:
            holdings.close()

    return bring


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], Path]:
    """Unpack an archive of the fixtures; the folder in it."""

    def unpack(name: str) -> Path:
        with tarfile.open(FIXTURES / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path, filter="data")
        return tmp_path / name.partition("-")[0]

    return unpack


@pytest.fixture(params=["2.22", "3.17"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database that a client of MLflow filled, of each of two versions."""
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((FIXTURES / f"mlflow-{request.param}.sql").read_text("utf-8"))
    connection.close()
    return path


@pytest.fixture
def change(database: Path) -> Callable[..., None]:
    def change(statement: str, *values: object) -> None:
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        with connection:
            connection.execute(statement, values)
        connection.close()

    return change
