"""Projects that share a folder, from the command line and from Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trivet as tv
from trivet.core.errors import Invalid, NotFound

Trivet = Callable[..., Any]


@pytest.fixture
def fraud(project: Path, trivet: Trivet) -> str:
    """Another project of the folder, with a run; the folder's own has one, too."""
    trivet("projects", "add", "fraud")
    for name in ("left", "fraud"):
        with (
            tv.open(project, project=name) as ws,
            ws.tracking.begin("digits", name=f"of-{name}", system=False) as run,
        ):
            run.log(loss=0.5)
    return run.id


def test_a_command_looks_at_the_project_that_it_is_told(fraud: str, trivet: Trivet) -> None:
    own = trivet("runs", "--json").data["runs"]
    assert [run["name"] for run in own] == ["of-left"]
    (found,) = trivet("runs", "--in", "fraud", "--json").data["runs"]
    assert (found["id"], found["name"]) == (fraud, "of-fraud")
    assert trivet("runs", "show", fraud, "--in", "fraud").code == 0
    assert trivet("runs", "show", fraud).code == 3
    assert trivet("lineage", fraud, "--in", "fraud").code == 0
    for words in (("experiments",), ("models",), ("models", "protect"), ("retention", "show")):
        assert trivet(*words, "--in", "fraud").code == 0
    trivet("models", "protect", "champion", "--in", "fraud")
    assert trivet("models", "protect", "--json").data == {}
    assert trivet("models", "protect", "--in", "fraud", "--json").data == {"champion": 1}


def test_a_project_that_is_not_there_is_named_with_what_to_do(
    fraud: str, project: Path, trivet: Trivet
) -> None:
    said = trivet("runs", "--in", "frod")
    assert said.code == 3
    assert "frod" in said.err
    assert "trivet projects list" in said.err
    for name, kind in (("frod", NotFound), ("*", Invalid), ("", Invalid)):
        with pytest.raises(kind):
            tv.open(project, project=name)


def test_every_project_of_a_folder_has_the_same_users_and_projects(
    fraud: str, project: Path
) -> None:
    with tv.open(project) as own, tv.open(project, project="fraud") as other:
        assert other.access.projects.names() == own.access.projects.names() == ("left", "fraud")
        other.access.users.add("ada")
        assert own.access.users.get("ada").name == "ada"
        assert other.acting_for("ada").scope.project == "fraud"
