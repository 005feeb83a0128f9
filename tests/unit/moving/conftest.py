"""A workspace on disk, and stores of strangers to import from."""

import os
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet.core.moving import Holdings
from trivet.moving.facts import Moved
from trivet.moving.wishes import Wishes
from trivet.workspace.holdings import mlflow_receiver
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

FIXTURES = Path(__file__).parents[2] / "fixtures" / "moving"
EVERYTHING = Wishes()
PATIENCE_S = 60.0

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


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a tracking server of another project, in a process of its own."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "other"\n')
    words = [sys.executable, "-m", "trivet", "tracking", "serve", "--port", "0", "--json"]
    paths = os.pathsep.join(path for path in sys.path if path)
    log = folder / "said"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=lines
        )
    limit = time.monotonic() + PATIENCE_S
    while "}" not in log.read_text() and time.monotonic() < limit:
        time.sleep(0.05)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", (folder / ".trivet" / "token").read_text().strip())
    yield log.read_text().split('"url": "')[1].partition('"')[0]
    process.terminate()
    process.wait()


def send(workspace: Workspace, url: str, *, is_dry: bool = False) -> Moved:
    receiver = mlflow_receiver(url)
    try:
        return workspace.moving.send(receiver, (), is_dry=is_dry, tell=lambda _: None)
    finally:
        receiver.close()
