"""What is imported is found by MLflow's own clients as it was found before; what goes out, as well.

Stores are filled and asked by unmodified clients, each in a process of its own.
"""

import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.clients.servers import free_port, interpreter, serve, start_oracle

PROGRAMS = Path(__file__).parent / "moving"
PATIENCE_S = 600
RUNS = 24
POSTGRES = shutil.which("postgres") or next(
    map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "moved"\n')
    return folder


def run_program(client: str, program: str, *words: str, folder: Path, **settings: str) -> None:
    command = [str(interpreter(client)), str(PROGRAMS / program), *words]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def trivet(project: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "trivet", *words, "--json", "--project", str(project)]
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def asked(client: str, uri: str, folder: Path, name: str, **settings: str) -> dict[str, Any]:
    answers = folder / f"{name}.json"
    run_program(client, "ask.py", uri, str(answers), folder=folder, **settings)
    return json.loads(answers.read_text())


def asked_here(client: str, project: Path) -> dict[str, Any]:
    with serve(project) as server:
        return asked(client, server.url, project.parent, "here", MLFLOW_TRACKING_TOKEN=server.token)


def differences(there: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    return {key: (there[key], here.get(key)) for key in there if there[key] != here.get(key)}


def runs_of(moved: dict[str, Any]) -> list[int]:
    return counted(moved, "runs")


def counted(moved: dict[str, Any], what: str) -> list[int]:
    return [moved["counts"][f"{what}_{how}"] for how in ("new", "changed", "same")]


def test_a_database_answers_alike_after_it_was_imported(tmp_path: Path, project: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run_program("mlflow3", "fill.py", uri, str(RUNS), folder=tmp_path)
    there = asked("mlflow3", uri, tmp_path, "there")
    moved = trivet(project, "import", "mlflow", uri)
    assert runs_of(moved) == [RUNS + 1, 0, 0]
    assert moved["left"] == []
    assert differences(there, asked_here("mlflow3", project)) == {}
    again = trivet(project, "import", "mlflow", uri)
    assert runs_of(again) == [0, 0, RUNS + 1]
    assert again["counts"]["points"] == 0
    assert differences(there, asked_here("mlflow3", project)) == {}


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_folder_answers_alike_after_it_was_imported(
    client: str, tmp_path: Path, project: Path
) -> None:
    folder = str(tmp_path / "mlruns")
    run_program(client, "fill.py", folder, str(RUNS), folder=tmp_path)
    there = asked(client, folder, tmp_path, "there")
    assert runs_of(trivet(project, "import", "mlflow", folder)) == [RUNS + 1, 0, 0]
    found = differences(there, asked_here(client, project))
    # MLflow's folders forget the step of points that name a data set, ours do not.
    assert {key for key in found if " acc " not in key} <= {"runs"}
    for run, before in there["runs"].items():
        now = asked_without(found, run, before)
        assert now == before


def asked_without(found: dict[str, Any], run: str, before: dict[str, Any]) -> dict[str, Any]:
    """What is said here of a run, with the metric that folders mistake as it was there."""
    if "runs" not in found:
        return before
    now = found["runs"][1][run]
    if "acc" in before["metrics"]:
        now["metrics"]["acc"] = before["metrics"]["acc"]
    return now


def test_a_running_server_answers_alike_here_and_after_it_went_on_to_another(
    tmp_path: Path, project: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with start_oracle(tmp_path / "first") as first:
        run_program("mlflow3", "fill.py", first.url, str(RUNS), folder=tmp_path)
        there = asked("mlflow3", first.url, tmp_path, "there")
        assert runs_of(trivet(project, "import", "mlflow", first.url)) == [RUNS + 1, 0, 0]
        again = trivet(project, "import", "mlflow", first.url)
        assert runs_of(again) == [0, 0, RUNS + 1]
    assert differences(there, asked_here("mlflow3", project)) == {}
    with start_oracle(tmp_path / "second") as second:
        planned = trivet(project, "export", "mlflow", second.url, "--dry-run")
        sent = trivet(project, "export", "mlflow", second.url)
        assert runs_of(sent) == [RUNS + 1, 0, 0]
        assert counted(sent, "traces") == [11, 0, 0]
        unplanned = {"points", "files", "size_bytes"}
        for name in planned["counts"].keys() - unplanned:
            assert planned["counts"][name] == sent["counts"][name], name
        assert sent["counts"]["versions"] > 0
        for dry in (("--dry-run",), ()):
            resent = trivet(project, "export", "mlflow", second.url, *dry)
            assert runs_of(resent) == [0, 0, RUNS + 1]
            assert counted(resent, "traces") == [0, 0, 11]
            assert resent["counts"]["versions"] == 0
        beyond = asked("mlflow3", second.url, tmp_path, "beyond")
    assert differences(comparable(there, there), comparable(beyond, there)) == {}


def test_traces_that_clients_sent_here_answer_alike_on_a_server_of_mlflow(
    tmp_path: Path, project: Path
) -> None:
    (tmp_path / "second").mkdir()
    with start_oracle(tmp_path / "second") as second:
        for program, few, changes in (("fill.py", ["10"], [11, 0, 0]), ("judge.py", [], [0, 3, 8])):
            with serve(project) as server:
                words = {"MLFLOW_TRACKING_TOKEN": server.token}
                run_program("mlflow3", program, server.url, *few, folder=tmp_path, **words)
                here = asked("mlflow3", server.url, tmp_path, "here", **words)
            assert counted(trivet(project, "export", "mlflow", second.url), "traces") == changes
            resent = trivet(project, "export", "mlflow", second.url)
            assert counted(resent, "traces") == [0, 0, 11]
            there = asked("mlflow3", second.url, tmp_path, "there")
            assert traces_in(here, there) == traces_in(there, there)


def traces_in(answers: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    found = {key: each for key, each in comparable(answers, there).items() if "traces" in key}
    for trace in found["traces"].values():  # MLflow's servers say so of each that they have
        trace["metadata"].pop("mlflow.trace.infoFinalized", None)
        for judged in trace["assessments"]:
            judged[10] = 0 if judged[0] == "right" else judged[10]  # changed in its own moment
    return found


def comparable(answers: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """Answers in which runs, models and experiments have the names that they had in the beginning.

    A server gives identifiers of its own to what is sent to it, and the times of the moment.
    """
    text = json.dumps(answers)
    for run, found in answers["runs"].items():
        text = text.replace(run, found["tags"].get("trivet.source", run))
    for model in answers["logged models"]:
        text = text.replace(model[0], model[9].get("trivet.source", model[0]))
    plain = json.loads(text)
    names = {row[1]: row[0] for row in plain["experiments"]}
    for found in plain["runs"].values():
        found["experiment"] = names[found["experiment"]]
        found["tags"].pop("trivet.source", None)
        found["tags"].pop("trivet.imprint", None)
        found["outputs"] = sorted(each for each in found["outputs"] if each[0] in text_of(there))
    for found in plain["traces"].values():
        found["experiment"] = names[found["experiment"]]
        found["tags"].pop("trivet.source", None)
        found["tags"].pop("trivet.imprint", None)
    plain["experiments"] = [[row[0], row[2], row[3]] for row in plain["experiments"]]
    plain["names"] = [[row[0], row[1], row[2], row[5]] for row in plain["names"]]
    for version in plain["versions"]:
        version[3].pop("trivet.source", None)
    plain["versions"] = [row[:6] for row in plain["versions"]]
    for model in plain["logged models"]:
        model[9].pop("trivet.source", None)
    models = ([m[0], names[m[1]], *m[2:6], *m[8:]] for m in plain["logged models"])
    plain["logged models"] = sorted(models)
    return {key: sorted(each) if "in view" in key else each for key, each in plain.items()}


def text_of(there: dict[str, Any]) -> str:
    return json.dumps(there["logged models"])


@pytest.mark.skipif(POSTGRES is None, reason="there is no PostgreSQL on this machine")
def test_postgres_answers_alike_after_it_was_imported(tmp_path: Path, project: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    borrowed = tmp_path / "borrowed"
    borrowed.mkdir()
    site = Path(psycopg.__file__).parents[1]
    for path in site.glob("psycopg*"):  # MLflow's environment has no driver of its own
        (borrowed / path.name).symlink_to(path)
    with postgres() as url:
        driver = url.replace("postgresql:", "postgresql+psycopg:")
        with_driver = {"PYTHONPATH": str(borrowed)}
        run_program("mlflow3", "fill.py", driver, str(RUNS), folder=tmp_path, **with_driver)
        there = asked("mlflow3", driver, tmp_path, "there", **with_driver)
        words = ("import", "mlflow", url, "--artifacts", str(tmp_path / "mlruns"))
        moved = trivet(project, *words)
        assert "secret" not in moved["source"]
        assert runs_of(moved) == [RUNS + 1, 0, 0]
        assert runs_of(trivet(project, *words)) == [0, 0, RUNS + 1]
    assert differences(there, asked_here("mlflow3", project)) == {}


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own; it refuses to run as root, so then as the user of its package."""
    programs = Path(str(POSTGRES)).resolve().parent
    become: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        if getpass.getuser() == "root":
            shutil.chown(folder, "postgres")
            become = ["runuser", "-u", "postgres", "--"]
        data, port = f"{folder}/data", free_port()
        made = [*become, str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "mlflow"]
        subprocess.run(made, check=True, capture_output=True)
        options = f"-k {folder} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [*become, str(programs / "pg_ctl"), "-D", data, "-w"]
        start = [*control, "-o", options, "-l", f"{folder}/log", "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql://mlflow:secret@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
