"""The servers that the clients can be pointed at: MLflow's own as the oracle, and Trivet's."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
# Hooks of the tests live on this machine and speak HTTP, which MLflow's server refuses by default,
# and would not be seen for a minute.
ORACLE_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
}


SETTINGS = """
project = "judged"

[webhooks]
networks = ["127.0.0.0/8"]
"""


@dataclass(frozen=True)
class Server:
    url: str
    token: str = ""


def interpreter(client: str) -> Path:
    """The Python of one client's environment, which `make clients` makes."""
    return ROOT / f".venv-{client}" / "bin" / "python"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_healthy(url: str) -> bool:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}:\n{log.read_text()}")
        found = url or printed_url(log)
        if found and is_healthy(found):
            return found
        time.sleep(0.1)
    raise TimeoutError(f"no server at {url} after {PATIENCE_S} s:\n{log.read_text()}")


def printed_url(log: Path) -> str:
    said = re.search(r'"url": "([^"]+)"', log.read_text("utf-8", "replace"))
    return said[1] if said else ""


@contextmanager
def started(
    command: list[str], settings: dict[str, str], folder: Path, url: str = ""
) -> Iterator[str]:
    """Run a server as a process group of its own, and end it with all its children.

    Without a URL it takes a port that is free, and prints, as JSON, where it is.
    """
    log = folder / "server.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **settings},
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield wait_until_healthy(url, process, log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def start_oracle(folder: Path) -> Iterator[Server]:
    """MLflow's own server on SQLite, with artifacts through the server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(interpreter("mlflow3").with_name("mlflow")),
        "server",
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", f"{folder}/artifacts"),
    ]
    with started(command, ORACLE_SETTINGS, folder, url):
        yield Server(url)


@contextmanager
def start_trivet(folder: Path) -> Iterator[Server]:
    """Trivet's server on a workspace of its own, with a token that may do everything."""
    (folder / "trivet.toml").write_text(SETTINGS)
    with serve(folder) as server:
        yield server


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Trivet's server on a workspace that is there."""
    command = [sys.executable, "-m", "trivet", "tracking", "serve", "--port", "0", "--json"]
    settings = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with started(command, settings, folder) as url:
        yield Server(url, (folder / ".trivet" / "token").read_text().strip())
