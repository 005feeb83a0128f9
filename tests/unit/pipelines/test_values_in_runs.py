"""Values on their way from step to step: kept once, the same when they are remembered."""

import stat
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import NotFound

PROJECT = """
import dataclasses
import pathlib
import pandas as pd
import numpy as np
import polars as pl

@dataclasses.dataclass
class Split:
    train: pd.DataFrame
    folds: dict[str, np.ndarray]
    report: pathlib.Path

    def rows(self) -> int:
        return len(self.train)

@step
def split(rows: int) -> Split:
    report = pathlib.Path("FOLDER") / "report.txt"
    report.write_text(f"{rows} rows")
    frame = pd.DataFrame({"n": range(rows), "s": ["a"] * rows}, index=pd.RangeIndex(1, rows + 1))
    return Split(frame, {"first": np.arange(rows)}, report)

@step
def count(split: Split) -> dict:
    return {"rows": split.rows(), "words": split.report.read_text()}

@flow
def main(rows: int = 3):
    made = split(rows)
    return {**count(made), "made": made}
"""


@pytest.fixture
def text(tmp_path: Path) -> str:
    return PROJECT.replace("FOLDER", str(tmp_path))


def test_a_record_of_frames_arrays_and_paths_goes_from_step_to_step(
    project: Any, text: str, tmp_path: Path
) -> None:
    project.write(text)
    first = project.run()
    (tmp_path / "report.txt").unlink()
    second = project.run()
    assert project.statuses(first) == [("split", "run"), ("count", "run")]
    assert project.statuses(second) == [("split", "remembered"), ("count", "remembered")]
    assert project.pipelines.value(second.id, "words") == "3 rows"
    assert first.finished.outputs == second.finished.outputs
    made = project.pipelines.value(second.id, "made")
    assert made.train["s"].tolist() == ["a", "a", "a"]
    assert made.report.read_text() == "3 rows"
    assert made.report.stat().st_mode & stat.S_IWUSR == 0


def test_an_edited_method_of_a_record_runs_the_steps_that_take_it(project: Any, text: str) -> None:
    project.write(text)
    project.run()
    project.write(text.replace("return len(self.train)", "return 2 * len(self.train)"))
    again = project.run()
    assert project.statuses(again)[1] == ("count", "run")
    assert again.finished.metrics["rows"] == 6


def test_a_class_that_was_given_a_field_makes_its_step_run_again(project: Any, text: str) -> None:
    project.write(text)
    run = project.run()
    project.write(
        text.replace("report: pathlib.Path\n", "report: pathlib.Path\n    note: str = ''\n")
    )
    assert project.statuses(project.run())[0] == ("split", "run")
    with pytest.raises(NotFound, match="note"):
        project.pipelines.value(run.id, "made")


def test_a_class_that_is_gone_leaves_the_value_not_known(project: Any, text: str) -> None:
    project.write(text)
    run = project.run()
    project.write("@flow\ndef main():\n    return {}")
    project.run()
    with pytest.raises(NotFound, match="pipeline:Split") as refused:
        project.pipelines.value(run.id, "made")
    assert refused.value.code == "no-class"


def test_what_was_removed_is_said_to_be_removed(project: Any, text: str) -> None:
    project.write(text)
    run = project.run()
    blobs = project.stores.blobs
    for digest, size in list(blobs.list()):
        if size == len("3 rows"):
            blobs.delete(digest)
    with pytest.raises(NotFound, match="removed") as refused:
        project.pipelines.value(run.id, "made")
    assert refused.value.code == "no-bytes"
