import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from trivet.cli.main import main

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 90.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.journey)


class Said(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class Answered(NamedTuple):
    """What a server answered."""

    status: int
    data: Any


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "trivet", *words]


def trivet(folder: Path, *words: str) -> Said:
    """Run a command as a user does: in a process of its own, in a folder."""
    done = subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Wait for something that will come; how long it takes is not what is tested."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


class Daemon:
    """`trivet up` in a project, from its greeting to its end."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.process = subprocess.Popen(
            command("up", *words),
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [
            threading.Thread(target=lambda s=stream, kept=kept: kept.extend(s or ()), daemon=True)
            for stream, kept in streams
        ]
        for reader in self._readers:
            reader.start()

    def wait_until_ready(self) -> None:
        wait_until(
            lambda: any("Ctrl-C" in line for line in self.out) or self.process.poll() is not None,
            "the greeting",
        )
        assert self.process.poll() is None, self.err

    def line(self, beginning: str) -> str:
        """Return the rest of the greeting's line that begins so."""
        found = next(line for line in self.out if line.strip().startswith(beginning))
        return found.strip().removeprefix(beginning).strip()

    @property
    def curl(self) -> str:
        return f"curl {self.line('curl')}"

    @property
    def token(self) -> str:
        place = self.line("token").removeprefix("(in ").removesuffix(")")
        return Path(place).read_text("utf-8").strip()

    def call(self, server: str, method: str, path: str, body: Any = None) -> Answered:
        """Call `API` or `serving` with the workspace's token."""
        address = urlsplit(self.line(server).split()[0])
        connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE_S)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return Answered(response.status, json.loads(response.read() or b"null"))
        finally:
            connection.close()

    def parts(self) -> dict[str, int]:
        """Return the running parts and their process numbers."""
        found: dict[str, int] = {}
        for process in children_of(self.process.pid):
            words = process.arguments
            if "--part" in words:
                found[words[words.index("--part") + 1]] = process.pid
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code


class Process(NamedTuple):
    """A process as /proc shows it."""

    pid: int
    arguments: list[str]


def children_of(pid: int) -> list[Process]:
    found: list[Process] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
            words = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(Process(int(stat.parent.name), words))
    return found


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def up(folder: Path) -> Iterator[Daemon]:
    daemon = Daemon(folder)
    try:
        daemon.wait_until_ready()
        yield daemon
    finally:
        daemon.stop()


def paste(line: str) -> Answered:
    """Do what a curl line says, without needing curl: its token, address and body."""
    words = shlex.split(line)
    address = urlsplit(next(word for word in words if word.startswith("http")))
    header = words[words.index("-H") + 1]
    secret = re.fullmatch(r"Authorization: Bearer \$\(cat (.+)\)", header)
    assert secret, header
    token = Path(shlex.split(secret[1])[0]).read_text().strip()
    body = words[words.index("-d") + 1] if "-d" in words else None
    connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE_S)
    try:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/x-www-form-urlencoded",  # as curl sends -d
        }
        connection.request("POST" if body else "GET", address.path, body, headers)
        response = connection.getresponse()
        return Answered(response.status, json.loads(response.read()))
    finally:
        connection.close()


def use_free_ports(folder: Path) -> None:
    """Let a project listen wherever there is room: several tests may run on one machine."""
    path = folder / "trivet.toml"
    text = re.sub(r"(?m)^((?:serving_)?port) = \d+", r"\1 = 0", path.read_text("utf-8"))
    path.write_text(text, encoding="utf-8")


class Tools(NamedTuple):
    """What journeys are made with; importlib mode knows no shared modules."""

    trivet: Callable[..., Said]
    up: Callable[..., Any]
    daemon: type[Daemon]
    paste: Callable[[str], Answered]
    wait_until: Callable[..., None]
    is_alive: Callable[[int], bool]
    use_free_ports: Callable[[Path], None]
    main: Callable[[list[str]], int]


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools(trivet, up, Daemon, paste, wait_until, is_alive, use_free_ports, main)


def customers(rows: int = 600) -> str:
    """Customers who leave or stay, as CSV: numbers, a category, a date, gaps, an identifier."""
    import math
    import random

    random_ = random.Random(3)
    lines = ["customer_id,age,plan,monthly,joined,churned"]
    for n in range(rows):
        age, plan = random_.randint(18, 80), random_.choice(["basic", "plus", "pro"])
        monthly = round(random_.gauss(40, 12), 2)
        joined = (
            f"20{random_.randint(10, 23)}-{random_.randint(1, 12):02}-{random_.randint(1, 28):02}"
        )
        score = -1 + 0.05 * (monthly - 40) + (2.0 if plan == "basic" else -0.5)
        left = int(random_.random() < 1 / (1 + math.exp(-score)))
        shown = "" if random_.random() < 0.05 else age
        lines.append(f"c{n:05},{shown},{plan},{monthly},{joined},{left}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def customers_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "customers.csv"
    path.write_text(customers())
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, customers_csv: Path) -> Path:
    """A project with a registered and released model. Copy it before you change it."""
    place = tmp_path_factory.mktemp("trained")
    words = ("init", "churn", "--data", str(customers_csv), "--target", "churned")
    assert trivet(place, *words).code == 0
    folder = place / "churn"
    use_free_ports(folder)
    ran = trivet(folder, "run")
    assert ran.code == 0, ran
    assert trivet(folder, "release").code == 0
    return folder
