"""A registry with approvals, tried over HTTP by unmodified MLflow clients of both generations."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.clients.servers import Server, interpreter, start_trivet
from tests.clients.test_programs import settings_of

from trivet.workspace.workspace import open as open_workspace

PROGRAM = Path(__file__).parent / "guarded_registry.py"
PATIENCE_S = 120


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_no_client_gets_around_an_approval(client: str, tmp_path: Path) -> None:
    folder, home = tmp_path / "server", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    with start_trivet(folder) as started:
        with open_workspace(folder, actor="root") as ws:
            tokens = {
                name: ws.access.issue(name, role)
                for name, role in (("ada", "operator"), ("bob", "approver"))
            }

        def run(part: str) -> Any:
            server = Server(started.url, tokens["ada"])
            done = subprocess.run(
                [str(interpreter(client)), str(PROGRAM), part],
                cwd=home,
                env=settings_of(server, home),
                capture_output=True,
                timeout=PATIENCE_S,
                check=False,
            )
            lines = done.stdout.decode().splitlines()
            assert lines, done.stderr.decode()[-4000:]
            return json.loads(lines[-1])

        try_everything(folder, run)


def try_everything(folder: Path, run: Callable[[str], Any]) -> None:
    """Make, protect, try all ways around, approve, move, deprecate."""
    run("make")
    with open_workspace(folder, actor="root") as ws:
        ws.models.approvals.protect("champion", 1)
        ws.models.approvals.protect("stage/Production", 1)
    told = run("tamper")
    refused = told["refused"]
    for name in ("move", "drop", "stage", "unstage"):
        assert refused[name][0] == "PERMISSION_DENIED", name
        assert "is protected" in refused[name][1], name
    for name in ("delete version", "delete model", "rename"):
        assert refused[name][0] == "INVALID_PARAMETER_VALUE", name
        assert "is protected" in refused[name][1], name
    for name in ("overwrite", "add", "delete file", "delete folder"):
        assert "403" in refused[name][1] or "frozen" in refused[name][1], name
    assert refused["elsewhere"] == []
    assert (told["champion"], told["stage"]) == ("1", "Production")
    approve(folder, "2")
    assert run("move") == {"champion": "2"}
    with open_workspace(folder) as ws:
        approvals = ws.models.approvals.requests("letters@champion")
        assert {(each.by, each.state) for each in approvals} >= {("ada", "used")}
        ws.models.approvals.protect("stage/Production", 0)
    said = run("deprecate")
    assert said["tags"] == {"trivet.deprecated": "a broken feed"}
    assert said["searched"] == ["1"]
    assert said["again"][0] == "PERMISSION_DENIED"
    assert "letters:1 is deprecated (a broken feed)" in said["again"][1]
    assert said["copied"] == said["tags"]
    assert said["after"] == {}


def approve(folder: Path, number: str) -> None:
    """Approve, in Bob's name, what the client asked for."""
    with open_workspace(folder, actor="bob") as ws:
        for each in ws.models.approvals.requests("letters@champion"):
            if each.requested.label == f"letters:{number}" and each.state == "open":
                ws.models.approvals.approve(each.id, "seen")
