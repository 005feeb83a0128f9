import socket
from pathlib import Path

import pytest

from trivet.cli.main import main
from trivet.core.facts import TaskMove
from trivet.pipelines.requests import QUEUE, RunRequest, new_task
from trivet.workspace.doctor import Symptom, examine
from trivet.workspace.supervision import only_supervisor
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace


def find(project: Path, about: str) -> Symptom:
    return next(item for item in examine(project) if item.about.startswith(about))


@pytest.fixture
def healthy(project: Path) -> Path:
    (project / "pipeline.py").write_text("")
    (project / "trivet.toml").write_text(
        'project = "left"\nflow = "pipeline:train"\n[up]\nport = 0\nserving_port = 0\n'
    )
    with open_workspace(project):
        pass
    return project


def test_a_healthy_project_is_fine(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {item.level for item in examine(healthy)} == {"fine"}
    assert main(["doctor", "--project", str(healthy)]) == 0
    assert "NO" not in capsys.readouterr().out


def test_without_a_project_the_installation_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--project", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "Python" in printed
    assert "trivet init" in printed


def test_settings_that_cannot_be_read_are_shown_with_what_to_do(project: Path) -> None:
    (project / "trivet.toml").write_text("project = ")
    found = find(project, "project")
    assert found.level == "wrong"
    assert "cannot be read" in found.finding
    assert found.advice


def test_a_flow_whose_file_is_not_there_is_wrong(project: Path) -> None:
    found = find(project, "flow")
    assert (found.level, found.finding) == ("wrong", "pipeline.py is not in the project")


def test_a_pipeline_that_no_flow_names_is_worth_a_look_and_none_at_all_is_fine(
    project: Path,
) -> None:
    (project / "trivet.toml").write_text('project = "left"')
    assert find(project, "flow").level == "fine"
    (project / "pipeline.py").write_text("")
    assert find(project, "flow").level == "look"


def test_a_folder_that_others_may_read_is_wrong(healthy: Path) -> None:
    (healthy / ".trivet").chmod(0o755)
    found = find(healthy, "privacy")
    assert found.level == "wrong"
    assert found.advice.startswith("chmod 700")


def test_a_port_that_somebody_else_holds_is_worth_a_look(healthy: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = f'project = "left"\nflow = "pipeline:train"\n[up]\nport = {port}\nserving_port = 0\n'
        (healthy / "trivet.toml").write_text(text)
        found = find(healthy, f"port {port}")
    assert found.level == "look"
    assert "up.port" in found.advice


def test_a_daemon_that_runs_and_does_not_answer_is_wrong(healthy: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = f'project = "left"\nflow = "pipeline:train"\n[up]\nport = {port}\nserving_port = 0\n'
    (healthy / "trivet.toml").write_text(text)
    with only_supervisor(healthy / ".trivet"):
        assert find(healthy, "daemon").finding == "`trivet up` runs on this project"
        found = find(healthy, f"port {port}")
    assert found.level == "wrong"
    assert "the API does not answer" in found.finding


def test_stores_of_a_newer_trivet_are_named(healthy: Path) -> None:
    (healthy / ".trivet" / "format.json").write_text('{"format": 99}')
    found = find(healthy, "stores")
    assert found.level == "wrong"
    assert "format 99" in found.finding
    assert "newer" in found.advice


def test_runs_that_failed_for_good_are_shown(healthy: Path) -> None:
    with open_workspace(healthy) as workspace:
        fail_a_run(workspace)
    found = find(healthy, "runs")
    assert found.level == "look"
    assert "1 asked-for runs failed for good" in found.finding


def fail_a_run(workspace: Workspace) -> None:
    scope, ledger = workspace.scope, workspace.stores.ledger
    ledger.commit(scope.batch("ask", tasks=[new_task(RunRequest(flow="pipeline:train"), key="r")]))
    (task,) = workspace.stores.journal.claim(QUEUE, owner="me", lease_s=60)
    move = TaskMove(key=task.key, owner="me", epoch=task.epoch, state="failed")
    ledger.commit(scope.batch("it failed", tasks=[move]))
