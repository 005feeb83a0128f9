"""Every command and every line of Python on the page about triggers works as it stands."""

import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from trivet.triggers.checking import check_rule, make_rule
from trivet.workspace.project_files import MonitorFile
from trivet.workspace.workspace import open as open_workspace

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "triggers.md"
PIPELINE = """
from trivet import flow

@flow
def train(day: str = "", month: str = "", region: str = "", rounds: int = 1):
    return {"rounds": rounds}
"""


def blocks(language: str) -> list[str]:
    parts = PAGE.read_text("utf-8").split("```")[1::2]
    return [p.removeprefix(language) for p in parts if p.startswith(f"{language}\n")]


def commands() -> Iterator[list[str]]:
    for block in blocks("bash"):
        for line in block.splitlines():
            if line.startswith("trivet "):
                yield shlex.split(line, comments=True)[1:]


@pytest.fixture
def project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    source = str(Path(__file__).parents[3] / "src")
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\ngate = ""\n')
    (project / "incoming").mkdir()
    with open_workspace(project) as ws:
        ws.data.publish("customers", {"t": pl.DataFrame({"x": [1]})}, source="a test")
    monkeypatch.setenv("PYTHONPATH", source)
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("pipeline", None)
    yield project
    sys.modules.pop("pipeline", None)


@pytest.mark.journey
def test_every_command_works_in_the_order_it_stands(
    project: Path, trivet: Callable[..., Any]
) -> None:
    ran = 0
    for words in commands():
        said = trivet(*words)
        assert said.code == 0, (words, said)
        assert said.out.strip(), words
        ran += 1
    assert ran > 20


def test_every_line_of_python_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("python"):
        exec(compile(block, str(PAGE), "exec"), {})  # noqa: S102  # our own page
    assert "nothing new: next due" in capsys.readouterr().out


def test_every_table_of_settings_is_taken() -> None:
    for block in blocks("toml"):
        monitor = msgspec.convert(tomllib.loads(block), MonitorFile)
        assert monitor.triggers
        for name, trigger in monitor.triggers.items():
            fields = {"name": name, "cause": trigger.cause, "watch": trigger.watch}
            fields |= {"flow": "p:f", "since": "2026-01-01T00:00:00Z"}
            check_rule(make_rule(fields, trigger.options()))


def test_a_trigger_tells_when_it_is_due_and_of_a_flow_or_data_set_that_is_not_there(
    project: Path, trivet: Callable[..., Any]
) -> None:
    cron = ("triggers", "set", "n", "cron", "--watch", "0 3 * * *", "--zone", "Asia/Tokyo")
    set_well = trivet(*cron).out
    assert "03:00:00 JST" in set_well
    assert "note" not in set_well
    assert "has no parameter 'round'" in trivet("triggers", "edit", "n", "--set", "round=3").out
    assert "Did you mean 'train'?" in trivet(*cron, "--flow", "trian").out
    data = trivet("triggers", "set", "d", "data", "--watch", "custmers").out
    assert "note: there is no data set 'custmers'. Did you mean 'customers'?" in data
    (project / "broken.py").write_text("1 / 0\n")
    broken = trivet("triggers", "set", "b", "hand", "--flow", "broken:train")
    assert broken.code == 0
    assert "cannot be imported now: ZeroDivisionError" in broken.out


def test_a_backfill_of_a_flow_says_what_it_is_filled_over(
    project: Path, trivet: Callable[..., Any]
) -> None:
    said = trivet("backfill", "pipeline:train")
    assert said.code == 2
    assert "--over day=" in said.err
