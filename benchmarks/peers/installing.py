"""Peers: which versions, in which setting, each in an environment of its own.

The environments lie in `build/bench/peers` and stay there. What a peer would tell its makers is
switched off, and its home is a scratch folder.
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import ROOT, environment

FOLDER = ROOT / "build" / "bench" / "peers"

LIBRARIES = ("msgspec", "numpy")


class Missing(Exception):
    """What is to be measured cannot be had here."""


class Peer(NamedTuple):
    """A system to compare with.

    `label` is what the table calls it; `pins` are its requirements, exact; `variables` switch off
    telemetry, colours and logs, `{home}` standing for its scratch folder.
    """

    label: str
    pins: tuple[str, ...]
    variables: dict[str, str]


_QUIET = {"DO_NOT_TRACK": "1", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}

PEERS = {
    "joblib": Peer("joblib 1.6", ("joblib==1.6.0",), {}),
    "hamilton": Peer(
        "Hamilton 1.90", ("apache-hamilton==1.90.0",), {"HAMILTON_TELEMETRY_ENABLED": "false"}
    ),
    "redun": Peer("redun 0.44", ("redun==0.44.1",), {}),
    "dbos": Peer("DBOS 3.4", ("dbos==3.4.0",), {}),
    "zenml": Peer(
        "ZenML 0.98",
        ("zenml[local]==0.98.0",),
        {
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_CONFIG_PATH": "{home}/zenml",
            "ZENML_LOGGING_VERBOSITY": "ERROR",
            "AUTO_OPEN_DASHBOARD": "false",
        },
    ),
    "dagster": Peer(
        "Dagster 1.13",
        ("dagster==1.13.29",),
        {"DAGSTER_DISABLE_TELEMETRY": "1", "DAGSTER_HOME": "{home}"},
    ),
    "metaflow": Peer(
        "Metaflow 2.19",
        ("metaflow==2.19.39",),
        {
            "METAFLOW_HOME": "{home}/metaflow",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": "{home}/store",
            "METAFLOW_DEFAULT_EVENT_LOGGER": "nullSidecarLogger",
            "METAFLOW_DEFAULT_MONITOR": "nullSidecarMonitor",
            "METAFLOW_USER": "bench",
        },
    ),
    "prefect": Peer(
        "Prefect 3.8",
        ("prefect==3.8.8", "fastapi==0.139.0"),  # with a newer FastAPI its server does not start
        {
            "PREFECT_HOME": "{home}/prefect",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        },
    ),
    "flyte": Peer("Flyte 2.12", ("flyte==2.12.1",), {}),
}


class Place(NamedTuple):
    """Where a subject runs: its interpreter and its environment variables."""

    python: str
    variables: dict[str, str]


def label_of(name: str) -> str:
    return PEERS[name].label if name in PEERS else "Trivet"


def place_of(name: str, home: Path) -> Place:
    """Return where a subject runs, installed if need be.

    A peer's environment also has the libraries that projects of the edits use, as they are here.

    Raises:
        Missing: It cannot be installed here.
    """
    if name not in PEERS:
        return Place(sys.executable, {**environment(), **_QUIET})
    peer = PEERS[name]
    folder = FOLDER / name
    stamp = folder / "pins.txt"
    pins = (*peer.pins, *(f"{library}=={version(library)}" for library in LIBRARIES))
    wanted = "\n".join((*pins, sys.version))
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        install(folder, pins)
        stamp.write_text(wanted, "utf-8")
    own = {key: value.format(home=home) for key, value in peer.variables.items()}
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
    base = {**kept, **_QUIET, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    return Place(str(python_of(folder)), {**base, **own})


def python_of(folder: Path) -> Path:
    return folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def install(folder: Path, pins: tuple[str, ...]) -> None:
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    uv = beside or shutil.which("uv")
    if uv is None:
        raise Missing("no program uv here, which installs peers: pip install uv")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    run(uv, "pip", "install", "--quiet", "--compile-bytecode",
        "--python", str(python_of(folder)), *pins)  # fmt: skip


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise Missing(f"`{Path(command[0]).name} {command[1]}`: {said[:200]}")
