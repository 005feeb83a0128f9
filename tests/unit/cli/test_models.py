from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trivet.workspace.workspace import open as open_workspace

Trivet = Callable[..., Any]

FLOW = """
import numpy as np
import polars as pl
from trivet import flow
from trivet.models.proof.comparing import compare

def by_sign(rows):
    share = rows.filter(pl.col("x") > 0)["late"].mean()
    return lambda asked: np.where(asked["x"] > 0, share, 1 - share)

@flow
def main():
    rows = pl.read_csv("parcels.csv")
    training, test = rows[:300], rows[300:]
    return {"found": compare({"by sign": by_sign}, training=training, test=test, target="late")}
"""


@pytest.fixture
def parcels(project: Path) -> Path:
    random = np.random.default_rng(0)
    x, depot = random.normal(size=600), random.choice(list("abc"), 600)
    late = x + (depot == "a") + 0.5 * random.normal(size=600) > 0
    path = project / "parcels.csv"
    pl.DataFrame({"x": x, "depot": depot, "late": late}).write_csv(path)
    return path


def test_algorithms_are_compared_in_words_in_json_and_on_a_page(
    trivet: Trivet, parcels: Path, project: Path
) -> None:
    report = project / "poc.html"
    said = trivet(*("models", "compare", str(parcels), "--target", "late", "--report", str(report)))
    assert said.code == 0, said.err
    assert said.out.startswith("Shown to beat a constant answer in auc")
    assert "boosted trees" in said.out
    assert "Not measured" in said.out
    assert "Learning curves" in report.read_text("utf-8")
    data = trivet("models", "compare", str(parcels), "--target", "late", "--json").data
    assert data["proof"]["test_rows"] == 150
    assert len(data["proof"]["standings"]) == 4
    with open_workspace(project) as ws:
        steps = ws.pipelines.steps(data["run"])
    assert {step.status for step in steps} == {"remembered"}


def test_ones_own_algorithms_are_compared_by_a_flow(
    trivet: Trivet, parcels: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    (project / "own_poc.py").write_text(FLOW)
    said = trivet("models", "compare", "--flow", "own_poc:main")
    assert said.code == 0, said.err
    assert "by sign" in said.out


def test_a_comparison_of_nothing_says_what_to_type(trivet: Trivet, parcels: Path) -> None:
    for words in (("models", "compare"), ("models", "compare", str(parcels))):
        said = trivet(*words)
        assert said.code != 0
        assert "next:" in said.err


def test_a_verdict_that_does_not_exist_cannot_be_overruled(trivet: Trivet) -> None:
    said = trivet("models", "override", "0" * 32, "--reason", "so be it")
    assert said.code != 0
    assert "no verdict" in said.err
