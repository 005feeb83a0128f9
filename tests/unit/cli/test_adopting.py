import json
from pathlib import Path
from typing import Any

import pytest


def notebook(folder: Path, *sources: str) -> Path:
    cells = [
        {"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None}
        for s in sources
    ]
    path = folder / "churn.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}), "utf-8")
    return path


CELLS = ("rate = 2", "numbers = [rate, 3]", "numbers.append(5)", "total = sum(numbers)")


def test_a_notebook_is_adopted_into_the_project(trivet: Any, project: Path) -> None:
    said = trivet("adopt", str(notebook(project, *CELLS)))
    assert said.code == 0, said.err
    assert "of 2 results equal" not in said.out
    assert "results equal" in said.out
    assert "may change numbers in place, and returns it" in said.out
    assert "trivet run churn:churn" in said.out
    assert (project / "churn.py").is_file()


def test_the_adopted_flow_runs_and_is_remembered(trivet: Any, project: Path) -> None:
    trivet("adopt", str(notebook(project, *CELLS)))
    first = trivet("run", "churn:churn", "--no-delivery", "--json")
    again = trivet("run", "churn:churn", "--no-delivery", "--json")
    assert first.code == again.code == 0, first.err + again.err
    steps = trivet("pipelines", "steps", again.data["run"]["id"], "--json").data
    assert {step["status"] for step in steps} == {"remembered"}
    assert again.data["run"]["finished"]["metrics"] == {"total": 10.0}


def test_a_dry_run_prints_the_module(trivet: Any, project: Path) -> None:
    said = trivet("adopt", str(notebook(project, *CELLS)), "--dry-run", "--no-check")
    compile(said.out, "churn.py", "exec")
    assert "@step" in said.out
    assert not (project / "churn.py").exists()


def test_json_holds_the_analysis_and_the_proof(trivet: Any, project: Path) -> None:
    said = trivet("adopt", str(notebook(project, *CELLS)), "--json")
    assert said.data["analysis"]["steps"][1]["changed"] == ["numbers"]
    assert said.data["proof"]["equal"] == said.data["proof"]["compared"]


def test_a_refused_cell_ends_with_the_code_for_bad_input(trivet: Any, project: Path) -> None:
    said = trivet("adopt", str(notebook(project, "x = 1", "!rm x")))
    assert said.code == 2
    assert "cell 2 (!rm x): a shell command" in said.err
    assert "next: " in said.err


def test_outside_a_project_the_hint_is_to_make_one(
    trivet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    said = trivet("adopt", str(notebook(folder, *CELLS)), here=False)
    assert said.code == 0, said.err
    assert "trivet init" in said.out
    assert (folder / "churn.py").is_file()
