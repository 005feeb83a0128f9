"""Unmodified clients against two projects of one server, as users of different rights.

What users set is all there is: the address with the project's name, and a token or a password.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.clients.servers import Server, interpreter, start_trivet
from tests.clients.test_programs import settings_of

pytestmark = pytest.mark.skipif(
    os.environ.get("TRIVET_CONFORMANCE") == "oracle", reason="MLflow's server has no such roots"
)
PASSWORD = "correct horse battery staple"

WRITE = """
import json, mlflow, os
mlflow.set_experiment("same")
with mlflow.start_run() as run:
    mlflow.log_param("root", os.environ["MLFLOW_TRACKING_URI"])
    mlflow.log_metric("loss", 0.5)
    mlflow.log_text("here", "note.txt")
client = mlflow.MlflowClient()
client.create_registered_model("same")
client.create_model_version("same", run.info.artifact_uri, run.info.run_id)
print(json.dumps({"run": run.info.run_id}))
"""

READ = """
import json, mlflow, sys
client = mlflow.MlflowClient()
found = {"others": [], "names": [e.name for e in client.search_experiments()]}
mine = client.get_experiment_by_name("same")
runs = client.search_runs([mine.experiment_id]) if mine else []
found["runs"] = [run.info.run_id for run in runs]
found["texts"] = [mlflow.artifacts.load_text(r.info.artifact_uri + "/note.txt") for r in runs]
for ask in (client.get_run, lambda run: client.get_metric_history(run, "loss"),
            lambda run: client.log_metric(run, "loss", 1.0), client.list_artifacts,
            lambda run: client.set_tag(run, "k", "v"), client.delete_run):
    for run in sys.argv[1:]:
        try:
            found["others"].append(repr(ask(run)))
        except mlflow.exceptions.MlflowException as error:
            found["others"].append(error.error_code)
print(json.dumps(found))
"""

REFUSED = """
import json, mlflow
try:
    mlflow.MlflowClient().search_experiments()
    print(json.dumps({"code": None}))
except mlflow.exceptions.MlflowException as error:
    print(json.dumps({"code": error.error_code}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("projects")


@pytest.fixture(scope="module")
def trivet(folder: Path) -> Iterator[Server]:
    with start_trivet(folder) as started:
        yield started


def command(folder: Path, *words: str, line: str = "") -> dict[str, Any]:
    """Run a command of Trivet while the server runs."""
    done = subprocess.run(
        [sys.executable, "-m", "trivet", *words, "--json", "--project", str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        input=line,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def people(folder: Path, trivet: Server) -> None:
    """Anna may write in churn and read here; bert is nobody in churn."""
    command(folder, "projects", "add", "churn")
    for name in ("anna", "bert"):
        command(folder, "users", "add", name)
        command(folder, "users", "password", name, line=f"{PASSWORD} of {name}\n")
    command(folder, "users", "role", "anna", "developer", "--on", "churn")
    command(folder, "users", "role", "anna", "viewer")
    command(folder, "users", "role", "bert", "developer")


def by_password(settings: dict[str, str], user: str) -> dict[str, str]:
    kept = {k: v for k, v in settings.items() if k != "MLFLOW_TRACKING_TOKEN"}
    return {
        **kept,
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": f"{PASSWORD} of {user}",
    }


def run(client: str, program: str, settings: dict[str, str], *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(interpreter(client)), "-c", program, *words],
        env=settings,
        cwd=settings["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_two_projects_are_two_servers_to_a_client(
    client: str, trivet: Server, folder: Path, tmp_path: Path
) -> None:
    command(folder, "projects", "add", f"left-{client}")
    command(folder, "projects", "add", f"right-{client}")
    runs, settings = {}, {}
    for side in ("left", "right"):
        root = replace(trivet, url=f"{trivet.url}/{side}-{client}")
        settings[side] = settings_of(root, tmp_path)
        runs[side] = run(client, WRITE, settings[side])["run"]
    for side, other in (("left", "right"), ("right", "left")):
        seen = run(client, READ, settings[side], runs[other])
        assert seen["runs"] == [runs[side]]
        assert seen["texts"] == ["here"]
        history = seen["others"].pop(1)
        assert history == "[]"
        assert set(seen["others"]) == {"RESOURCE_DOES_NOT_EXIST"}, seen


@pytest.mark.usefixtures("people")
def test_a_password_and_a_token_open_what_their_user_may(
    trivet: Server, folder: Path, tmp_path: Path
) -> None:
    churn = settings_of(replace(trivet, url=f"{trivet.url}/churn"), tmp_path)
    here = settings_of(trivet, tmp_path)
    wrote = run("mlflow3", WRITE, by_password(churn, "anna"))
    token = command(folder, "access", "issue", "laptop", "--user", "anna", "--everywhere")["token"]
    with_token = {**churn, "MLFLOW_TRACKING_TOKEN": token}
    assert run("mlflow3", READ, with_token)["runs"] == [wrote["run"]]
    codes = {
        "bert in churn": by_password(churn, "bert"),
        "bert where there is nothing": by_password(
            {**churn, "MLFLOW_TRACKING_URI": f"{trivet.url}/nowhere"}, "bert"
        ),
        "anna here": by_password(here, "anna"),
        "a wrong password": {**by_password(here, "anna"), "MLFLOW_TRACKING_PASSWORD": "wrong"},
    }
    assert {who: run("mlflow3", REFUSED, given)["code"] for who, given in codes.items()} == {
        "bert in churn": "RESOURCE_DOES_NOT_EXIST",
        "bert where there is nothing": "RESOURCE_DOES_NOT_EXIST",
        "anna here": None,
        "a wrong password": "UNAUTHENTICATED",
    }
    command(folder, "access", "revoke", "laptop", "--user", "anna")
    assert run("mlflow3", REFUSED, with_token)["code"] == "UNAUTHENTICATED"
    command(folder, "users", "disable", "anna")
    assert run("mlflow3", REFUSED, by_password(here, "anna"))["code"] == "UNAUTHENTICATED"
