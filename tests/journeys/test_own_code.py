"""What a user's own code and files can get wrong: one clear message, and nothing half-done."""

import json
from pathlib import Path
from typing import Any

import pytest

HEAD = "from trivet import Data, flow, step\n"
FINE = HEAD + (
    "@step\ndef count(n: int) -> int:\n    return n + 1\n\n"
    "@flow\ndef train(n: int = 1):\n    return {'total': count(n)}\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\n')
    (folder / "gate.toml").write_text("")
    return folder


def runs(tools: Any, project: Path) -> list[Any]:
    return json.loads(tools.trivet(project, "runs", "--json").out)["runs"]


MISTAKES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "an exception in a step": (
        HEAD + "@step\ndef fit(n: int):\n    return 1 // n\n\n"
        "@flow\ndef train():\n    return {'x': fit(0)}\n",
        1,
        ("ZeroDivisionError", "pipeline.py:4 in fit: return 1 // n", "in step 'fit' of run"),
    ),
    "an exception in the flow": (
        HEAD + "@flow\ndef train():\n    raise KeyError('colour')\n",
        1,
        ("KeyError: 'colour'", "pipeline.py:4 in train", "in flow 'train' of run"),
    ),
    "a syntax error": (
        HEAD + "@flow\ndef train(:\n",
        2,
        ("is no valid Python", "pipeline.py, line 3"),
    ),
    "a library that is not there": (
        HEAD + "import polarz\n@flow\ndef train(): ...\n",
        1,
        ("No module named 'polarz'", "pipeline.py:2"),
    ),
    "no such flow": (FINE.replace("def train", "def fit"), 3, ("no function 'train'", "'fit'")),
    "a function that is no flow": (
        HEAD + "def train(): ...\n",
        2,
        ("is no flow", "Write @flow above it"),
    ),
    "a data set that is not there": (
        HEAD + "@flow\ndef train(t: Data = 'nope'):\n    return {}\n",
        3,
        ("'nope'",),
    ),
    "a candidate that is none": (
        HEAD + "@flow\ndef train():\n    return {'model': [1], 'holdout': [1], 'training': [1]}\n",
        2,
        ("'model' is a list; expected a Candidate", "Candidate.of"),
    ),
    "a candidate without rows to judge it by": (
        HEAD + "@flow\ndef train():\n    return {'model': [1]}\n",
        2,
        ("no 'holdout'", '"holdout": rows'),
    ),
    "an exit": (HEAD + "@flow\ndef train():\n    raise SystemExit('enough')\n", 1, ("enough",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_pipeline_is_one_clear_message(
    tools: Any, project: Path, mistake: str
) -> None:
    text, code, words = MISTAKES[mistake]
    (project / "pipeline.py").write_text(text)
    said = tools.trivet(project, "run")
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert all(word in said.err for word in words), said.err
    if mistake != "an exit":
        assert said.err.count("error: ") == 1
        assert "next: " in said.err
    assert said.out == ""
    recorded = runs(tools, project)
    assert all(run["status"] in {"failed", "cancelled", "succeeded"} for run in recorded)
    assert json.loads(tools.trivet(project, "models", "--json").out) == []


def test_the_whole_traceback_is_there_for_whoever_asks(tools: Any, project: Path) -> None:
    text, _, _ = MISTAKES["an exception in a step"]
    (project / "pipeline.py").write_text(text)
    said = tools.trivet(project, "run", "--traceback")
    assert said.code == 1
    assert "Traceback (most recent call last)" in said.err
    assert "running.py" in said.err


def test_a_flow_that_trains_nothing_needs_no_gate(tools: Any, project: Path) -> None:
    (project / "pipeline.py").write_text(FINE)
    (project / "gate.toml").unlink()
    assert tools.trivet(project, "run").code == 3
    assert runs(tools, project) == []
    (project / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\ngate = ""\n')
    said = tools.trivet(project, "run", "--set", "n=41")
    assert said.code == 0
    assert "metric total" in said.out
    (run,) = runs(tools, project)
    assert run["metrics.total"] == 42.0


def test_a_mended_run_remembers_what_was_done(tools: Any, project: Path) -> None:
    broken = FINE + "\n@step\ndef last(n: int) -> int:\n    raise ValueError(n)\n"
    broken += "\n@flow\ndef both():\n    return {'x': last(count(1))}\n"
    (project / "pipeline.py").write_text(broken)
    assert tools.trivet(project, "run", "pipeline:both").code == 1
    (project / "pipeline.py").write_text(broken.replace("raise ValueError(n)", "return n"))
    said = tools.trivet(project, "run", "pipeline:both")
    assert said.code == 0
    lines = [line.split()[1:3] for line in said.err.splitlines()[:2]]
    assert lines == [["count", "remembered"], ["last", "run"]]
    plan = tools.trivet(project, "run", "pipeline:both", "--plan", "--json")
    assert {step["action"] for step in json.loads(plan.out)["steps"]} == {"remember"}
