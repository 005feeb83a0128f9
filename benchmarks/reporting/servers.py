"""Servers to be asked the same: Trivet's, MLflow's as it ships, and one that only answers.

MLflow's environment is `.venv-mlflow3`, which `make clients` makes.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import psutil

from benchmarks.load import ROOT, environment
from benchmarks.peers.installing import Missing
from benchmarks.serving import free_port

MLFLOW = "MLflow 3.17"
PYTHON = ROOT / ".venv-mlflow3" / "bin" / "python"
SETTINGS = 'project = "bench"\n'
_CLIENT = Path(__file__).with_name("client.py")
_QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONWARNINGS": "ignore",
}
_PATIENCE_S = 120.0


class Place(NamedTuple):
    """A server that answers."""

    label: str
    port: int
    token: str
    process: psutil.Process
    started_s: float
    """From the start of its process to its first answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def mlflow_python() -> str:
    """Return the interpreter of MLflow's environment.

    Raises:
        Missing: There is none here.
    """
    if not PYTHON.exists():
        raise Missing(f"{PYTHON.relative_to(ROOT)} is missing: `make clients` makes it")
    return str(PYTHON)


@contextmanager
def trivet_server(folder: Path, *, port: int = 0) -> Generator[Place]:
    """Serve a project of Trivet's in a folder, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trivet.toml").write_text(SETTINGS, "utf-8")
    port = port or free_port()
    line = [sys.executable, "-m", "trivet", "tracking", "serve", "--port", str(port)]
    with _running("Trivet", line, folder, port, environment()) as place:
        yield place._replace(token=(folder / ".trivet" / "token").read_text("utf-8").strip())


@contextmanager
def mlflow_server(folder: Path, *, workers: int | None = None) -> Generator[Place]:
    """Serve by MLflow on SQLite as it ships: four workers, its own journal and synchronisation.

    Args:
        folder: Where its database is, or will be.
        workers: Another number of workers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    line = [mlflow_python(), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    line += ["--workers", str(workers)] if workers else []
    with _running(MLFLOW, line, folder, port, {**os.environ, **_QUIET}) as place:
        yield place


@contextmanager
def stub_server(folder: Path) -> Generator[Place]:
    """Serve nothing: whatever is asked is answered with `{}`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    line = [sys.executable, "-m", "benchmarks.reporting.stub", str(port)]
    variables = environment() | {"PYTHONPATH": str(ROOT)}
    with _running("a stub", line, folder, port, variables) as place:
        yield place


@contextmanager
def _running(
    label: str, line: Sequence[str], folder: Path, port: int, variables: dict[str, str]
) -> Generator[Place]:
    with (folder / "server.log").open("wb") as log:
        begun = time.perf_counter()
        running = subprocess.Popen(
            line,
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_healthy(running, port, folder)
        started_s = time.perf_counter() - begun
        yield Place(label, port, "", psutil.Process(running.pid), started_s)
    finally:
        end_group(running)


def wait_until_healthy(running: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    """Ask until there is an answer.

    Raises:
        Missing: The process ended, or there was none within two minutes.
    """
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
        if running.poll() is not None:
            break
    lines = (folder / "server.log").read_text("utf-8", "replace").strip().splitlines()
    raise Missing(f"the server does not answer: {(lines or ['no word'])[-1][:200]}")


def end_group(running: "subprocess.Popen[bytes]") -> None:
    """End a server with all its children, which are a process group of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(running.pid, number)
        except ProcessLookupError:
            break
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            continue
    running.wait()


class Client:
    """MLflow's unmodified client in a process of its own, open for questions.

    Args:
        uri: What it tracks to: a server's address, or a store.
        token: The server's, if it asks for one.
        folder: Where it runs.
    """

    def __init__(self, uri: str, token: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        variables = {**kept, **_QUIET, "HOME": str(folder), "MLFLOW_TRACKING_URI": uri}
        if token:
            variables["MLFLOW_TRACKING_TOKEN"] = token
        self._said = folder / "client.log"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [mlflow_python(), str(_CLIENT)],
                cwd=folder,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, do: str, **arguments: float) -> dict[str, Any]:
        """Have it do something of `client`; return its figures.

        Raises:
            Missing: It ended instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            lines = self._said.read_text("utf-8", "replace").strip().splitlines()
            raise Missing(f"MLflow's client ended: {(lines or ['no word'])[-1][:200]}")
        return json.loads(answer)
