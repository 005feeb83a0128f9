"""`trivet why` serves steps and predictions."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Trivet = Callable[..., Any]

FLOW = """
from trivet import flow, step

RATE = 2

@step
def fit(x: int) -> int:
    return x * RATE + len(str(eval("1")))

@flow
def train(x: int = 1):
    return {"y": fit(x)}
"""


def trivet_process(project: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trivet", *words, "--project", str(project)],
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.fixture
def ran(project: Path) -> Path:
    (project / "pipeline.py").write_text(FLOW, "utf-8")
    trivet_process(project, "run", "--no-delivery")
    return project


def test_an_edit_is_shown_with_its_difference_by_a_new_process(ran: Path) -> None:
    (ran / "pipeline.py").write_text(FLOW.replace("RATE = 2", "RATE = 3"), "utf-8")
    said = trivet_process(ran, "why", "train.fit")
    assert "the next run makes it again:\n  constant pipeline.RATE changed\n" in said
    assert "    -RATE = 2\n    +RATE = 3\n" in said
    assert "\033[" not in said


def test_the_answer_is_json_on_request(ran: Path, trivet: Trivet) -> None:
    said = trivet("why", "train.fit", "--json").data
    assert said["step"] == "fit"
    assert said["changes"] == []
    assert said["status"] == "run"
    sys.modules.pop("pipeline")


def test_plan_run_and_why_name_what_the_key_does_not_cover(ran: Path) -> None:
    said = "pipeline.fit runs text as code (eval) (line 8)"
    assert f"not covered by the steps' keys (remedy: depends= or version=):\n  {said}" in (
        trivet_process(ran, "run", "--plan")
    )
    assert trivet_process(ran, "run", "--no-delivery").count(said) == 1
    assert said in trivet_process(ran, "why", "train.fit")


def test_a_step_that_nobody_ran_and_a_prediction_that_nobody_made_are_not_found(
    trivet: Trivet,
) -> None:
    step = trivet("why", "train.fit")
    assert step.code != 0
    assert "was never run" in step.err
    prediction = trivet("why", "0" * 32)
    assert prediction.code != 0
    assert "prediction" in prediction.err
