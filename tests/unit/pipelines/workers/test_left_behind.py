"""What a step in the pool leaves behind in its process: nothing of it reaches the next step."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

BEGIN = """
import os, sys, time
from trivet.pipelines.authoring import *
"""


class Project:
    """A project of one module."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def run(self, text: str, **options: Any) -> Any:
        (self.workspace.folder / "pipeline.py").write_text(BEGIN + text, "utf-8")
        return self.workspace.pipelines.run("pipeline:main", **options)

    def value(self, run: Any, name: str) -> Any:
        return self.workspace.pipelines.value(run.id, name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "trivet.toml").write_text('project = "left"\ngate = ""\n')
    sys.modules.pop("pipeline", None)
    with open_workspace(tmp_path, actor="ada") as workspace:
        yield Project(workspace)
    sys.modules.pop("pipeline", None)


FORKS = """
@step(where="pool")
def forks(way: str) -> int:
    if os.fork() == 0:
        if way == "raise":
            raise LookupError("in the child")
        if way == "exit":
            sys.exit(3)
        time.sleep(0.3)
        return 666
    code = 0
    if way != "return":
        code = os.waitstatus_to_exitcode(os.wait()[1])
    return code

@step(where="pool")
def slow(n: int) -> int:
    time.sleep(1.0)
    return n * 10

@flow
def main(way: str):
    return {"code": forks(way), "slow": slow(8)}
"""


@pytest.mark.parametrize(("way", "code"), [("return", 0), ("raise", 1), ("exit", 3)])
def test_a_process_that_a_step_forks_answers_for_no_step(
    project: Project, capsys: pytest.CaptureFixture[str], way: str, code: int
) -> None:
    run = project.run(FORKS, way=way)
    assert project.value(run, "code") == code
    assert project.value(run, "slow") == 80
    assert ("LookupError: in the child" in capsys.readouterr().out) == (way == "raise")


CHANGES = """
SEEN = [1]
LIMITS = {"low": 1}

@step(where="pool")
def reader(n: int) -> int:
    return sum(SEEN) + LIMITS["low"]

@step(where="pool")
def appends(n: int) -> int:
    SEEN.append(100)
    return n

@step(where="pool")
def rebinds(n: int) -> int:
    global LIMITS
    LIMITS = {"low": 50}
    return n

@step(where="pool")
def only_looks(n: int) -> int:
    return os.getpid()

@flow
def main():
    before = only_looks(0), only_looks(1)
    values = [reader(1)]
    appends(1)
    values.append(reader(2))
    rebinds(1)
    values.append(reader(3))
    after = only_looks(2), only_looks(3)
    return {"values": values, "before": list(before), "after": list(after)}
"""


def test_what_a_step_changes_in_a_module_never_reaches_another_step(project: Project) -> None:
    run = project.run(CHANGES)
    assert project.value(run, "values") == [2, 2, 2]
    for when in ("before", "after"):
        first, second = project.value(run, when)
        assert first == second  # steps that change nothing keep their worker


def test_a_step_that_changes_its_own_module_finds_it_untouched_each_time(project: Project) -> None:
    run = project.run("""
COUNT = [0]

@step(where="pool")
def count(n: int) -> int:
    COUNT[0] += 1
    return COUNT[0]

@flow
def main():
    return {"counts": [count(n) for n in range(3)]}
""")
    assert project.value(run, "counts") == [1, 1, 1]


def test_what_a_step_keeps_in_a_cache_stays_with_its_worker(project: Project) -> None:
    run = project.run("""
from functools import cache

@cache
def model():
    return object()

@step(where="pool")
def use(n: int) -> list:
    return [os.getpid(), id(model())]

@flow
def main():
    return {"used": [use(n) for n in range(3)]}
""")
    first, second, third = project.value(run, "used")
    assert first == second == third


def test_an_error_of_a_step_may_have_any_code(project: Project) -> None:
    text = """
from trivet.core.errors import Conflict

@step(where="pool")
def refuses(n: int) -> int:
    raise Conflict("the tea is stale", code="stale-worker")

@flow
def main():
    refuses(1)
"""
    with pytest.raises(Exception, match="the tea is stale"):
        project.run(text)
