"""Steps in environments of their own: other packages than the flow's, made once, never half."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.adapters.process.environments import Environments
from trivet.core.errors import Invalid, TrivetError
from trivet.pipelines.facts import StepDone
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

pytestmark = pytest.mark.journey
SOURCE = Path(__file__).parents[2] / "src"

PIPELINE = """
from trivet.pipelines.authoring import *

@step(where="pool", env="needs.txt")
def brew(leaves: int) -> list:
    import sys
    import teapot
    try:
        import polars
    except ImportError:
        polars = None
    return [teapot.VERSION, leaves * 2, polars is None, sys.prefix]

@step(where="pool")
def plain() -> bool:
    try:
        import teapot
    except ImportError:
        return False
    return True

@flow
def main(leaves: int = 2):
    return {"brewed": brew(leaves), "plain": plain()}
"""


def make_wheel(folder: Path, version: str) -> None:
    """Write a wheel of one module, as an index would serve it."""
    folder.mkdir(exist_ok=True)
    info = f"teapot-{version}.dist-info"
    files = {
        "teapot.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: teapot\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"teapot-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    for version in ("1.0", "2.0"):
        make_wheel(folder, version)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "pipeline", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "tea"\ngate = ""\n')
    (folder / "pipeline.py").write_text(PIPELINE)
    with open_workspace(folder, actor="ada") as workspace:
        yield workspace
    sys.modules.pop("pipeline", None)


def need(folder: Path, wheels: Path, version: str) -> None:
    text = f"--no-index\n--find-links {wheels}\nteapot=={version}\n"
    (folder / "needs.txt").write_text(text)


def steps(workspace: Workspace, run: Any) -> dict[str, StepDone]:
    return {step.step: step for step in workspace.pipelines.steps(run.id)}


def test_a_step_has_the_packages_that_its_file_names_and_no_others(
    project: Workspace, wheels: Path
) -> None:
    need(project.folder, wheels, "1.0")
    first = project.pipelines.run("pipeline:main")
    version, leaves, is_without_polars, prefix = project.pipelines.value(first.id, "brewed")
    assert (version, leaves, is_without_polars) == ("1.0", 4, True)
    assert Path(prefix).parent == project.folder / ".trivet" / "environments"
    assert project.pipelines.value(first.id, "plain") is False
    digest = hashlib.sha256((project.folder / "needs.txt").read_bytes()).hexdigest()
    assert steps(project, first)["brew"].environment == digest
    assert steps(project, first)["plain"].environment == ""

    need(project.folder, wheels, "2.0")
    second = project.pipelines.run("pipeline:main")
    assert project.pipelines.value(second.id, "brewed")[0] == "2.0"
    done = steps(project, second)
    assert (done["brew"].status, done["plain"].status) == ("run", "remembered")
    (planned, _) = project.pipelines.plan("pipeline:main", leaves=3).steps
    assert planned.action == "run"

    need(project.folder, wheels, "1.0")
    third = project.pipelines.run("pipeline:main")
    assert {step.status for step in steps(project, third).values()} == {"remembered"}


def test_a_change_of_the_file_is_the_reason_that_the_plan_names(
    project: Workspace, wheels: Path
) -> None:
    need(project.folder, wheels, "1.0")
    project.pipelines.run("pipeline:main")
    need(project.folder, wheels, "2.0")
    planned = project.pipelines.plan("pipeline:main").steps[0]
    assert "environment needs.txt" in " ".join(planned.reasons)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--no-index\nno-such-teapot==1.0\n", "uv cannot make"),
        ("-r other.txt\n", "line 1 of needs.txt points outside"),
        ("teapot\n-e .\n", "line 2"),
    ],
)
def test_a_file_that_makes_no_environment_is_refused_and_nothing_is_left(
    project: Workspace, text: str, words: str
) -> None:
    (project.folder / "needs.txt").write_text(text)
    with pytest.raises(Invalid, match=words) as refused:
        project.pipelines.run("pipeline:main")
    assert refused.value.code == "bad-environment"
    made = project.folder / ".trivet" / "environments"
    assert [place for place in made.glob("[!.]*") if place.is_dir()] == []


MAKE = """
import hashlib, sys
from pathlib import Path
from trivet.adapters.process.environments import Environments
needs = Path(sys.argv[2])
digest = hashlib.sha256(needs.read_bytes()).hexdigest()
print(Environments(Path(sys.argv[1])).interpreter(needs, digest))
"""


def test_makers_at_the_same_time_and_one_that_was_killed_leave_one_whole_environment(
    tmp_path: Path, wheels: Path
) -> None:
    need(tmp_path, wheels, "1.0")
    folder, needs = tmp_path / "environments", tmp_path / "needs.txt"

    def maker() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", MAKE, str(folder), str(needs)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
        )

    with maker() as killed:
        while not list(folder.glob(".*.making")) and killed.poll() is None:
            pass
        killed.kill()
    makers = [maker() for _ in range(3)]
    (interpreter,) = {process.communicate()[0].strip() for process in makers}
    done = subprocess.run(
        [interpreter, "-c", "import teapot, trivet, numpy; print(teapot.VERSION)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1.0\n"
    assert len([place for place in folder.glob("[!.]*") if place.is_dir()]) == 1


def test_a_missing_uv_is_said_with_what_to_do(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(tmp_path, wheels, "1.0")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    content = (tmp_path / "needs.txt").read_bytes()
    with pytest.raises(TrivetError, match="no uv") as refused:
        Environments(tmp_path / "made").interpreter(
            tmp_path / "needs.txt", hashlib.sha256(content).hexdigest()
        )
    assert "pip install uv" in refused.value.hint


def test_an_edit_of_the_flow_reaches_a_step_in_its_own_environment(
    project: Workspace, wheels: Path
) -> None:
    need(project.folder, wheels, "1.0")
    project.pipelines.run("pipeline:main")
    text = PIPELINE.replace("leaves * 2", "leaves * 3")
    (project.folder / "pipeline.py").write_text(text)
    with pytest.raises(Invalid, match=r"pipeline\.brew") as refused:
        project.pipelines.run("pipeline:main", leaves=5)  # this process has the old code
    assert refused.value.code == "other-code"
    sys.modules.pop("pipeline")
    run = project.pipelines.run("pipeline:main", leaves=5)
    assert project.pipelines.value(run.id, "brewed")[1] == 15
