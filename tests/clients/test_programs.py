"""Programs of MLflow's users, run unchanged by unmodified clients against a server.

`make conformance-oracle` runs them against MLflow's own server, which is what decides whether a
check is right. `areas.py` says which of them Trivet's server answers.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.clients.areas import AREAS, Area
from tests.clients.servers import Server, interpreter

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE_S = 600
ORACLE = os.environ.get("TRIVET_CONFORMANCE") == "oracle"
CASES = [
    pytest.param(area, client, id=f"{area.name}-{client}")
    for area in AREAS
    for client in area.clients
    if ORACLE or area.supported
]


def program_of(area: Area, client: str) -> list[str]:
    python = Path(sys.executable) if client == "plain" else interpreter(client)
    assert python.exists(), f"{python} is missing: `make clients` makes it"
    return [str(python), str(PROGRAMS / f"{area.name}.py")]


def settings_of(server: Server, home: Path) -> dict[str, str]:
    """What a user sets: where the server is, and the token for it. The rest is for quiet."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "MLFLOW_TRACKING_URI": server.url,
        **({"MLFLOW_TRACKING_TOKEN": server.token} if server.token else {}),
        # One answer of 5xx is a failure; with the client's seven tries it would be a slow success.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Traces are sent by a thread all the same, only sooner than after five seconds.
        "MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS": "200",
        "MPLBACKEND": "Agg",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def result_of(command: list[str], settings: dict[str, str], home: Path) -> dict[str, Any]:
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        done = subprocess.run(
            command, cwd=home, env=settings, stdout=out, stderr=err, timeout=PATIENCE_S, check=False
        )
    lines = (home / "out").read_text("utf-8").splitlines()
    if not lines or not lines[-1].startswith("{"):
        said = (home / "err").read_text("utf-8", "replace")[-4000:]
        pytest.fail(f"the program ended with {done.returncode} and no result:\n{said}")
    return json.loads(lines[-1])


@pytest.mark.parametrize(("area", "client"), CASES)
def test_every_check_of_a_program_passes(
    area: Area, client: str, server: Server, tmp_path: Path
) -> None:
    result = result_of(program_of(area, client), settings_of(server, tmp_path), tmp_path)
    counts = ", ".join(f"{len(result[name])} {name}" for name in ("passed", "failed", "left_out"))
    print(f"\n{area.name} by {client} {result['client']}: {counts}")
    print(f"slowest: {sorted(result['times_s'].items(), key=lambda item: -item[1])[:3]}")
    assert result["passed"] or result["failed"], "a program without a check"
    broken = "\n".join(f"--- {name}\n{why}" for name, why in result["failed"].items())
    assert not broken, f"{len(result['failed'])} checks failed\n{broken}"


def test_every_program_has_its_area() -> None:
    programs = {path.stem for path in PROGRAMS.glob("*.py")} - {"judging", "speaking"}
    assert programs == {area.name for area in AREAS}
