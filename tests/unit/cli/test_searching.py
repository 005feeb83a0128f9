"""Runs searched, compared and judged from the command line."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

Trivet = Callable[..., Any]


@pytest.fixture
def filled(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty runs of a search, and one of another experiment."""
    monkeypatch.chdir(project)
    chance = random.Random(1)
    with open_workspace(project) as ws:
        for number in range(40):
            lr = 10 ** chance.uniform(-5, -1)
            parameters = {"lr": lr, "seed": number, "kind": chance.choice("ab")}
            with ws.tracking.begin(
                "sweep", name=f"s{number}", parameters=parameters, system=False
            ) as run:
                run.log(loss=(math.log10(lr) + 3) ** 2 + 2, step=0)
                run.log(loss=(math.log10(lr) + 3) ** 2 + 1, step=1)
                run.log(loss=(math.log10(lr) + 3) ** 2, step=2)
        with ws.tracking.begin("late", name="other", system=False) as run:
            run.log(loss=0.5)
    return project


def test_runs_are_filtered_ordered_and_shown_by_columns(filled: Path, trivet: Trivet) -> None:
    said = trivet("runs", "--filter", "params.lr > 1e-3", "--order", "metrics.loss",
                  "--columns", "name,params.lr,metrics.loss", "--limit", "3")  # fmt: skip
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].split() == ["name", "params.lr", "metrics.loss"]
    losses = [float(line.split()[2]) for line in lines[2:5]]
    assert losses == sorted(losses)
    assert "there are more: --after " in lines[-1]


def test_pages_go_on_where_the_last_one_ended(filled: Path, trivet: Trivet) -> None:
    asked = ("runs", "--order", "metrics.loss DESC", "--experiment", "sweep", "--limit", "15")
    names: list[str] = []
    after: tuple[str, ...] = ()
    for _ in range(3):
        page = trivet(*asked, *after, "--json").data
        names += [run["name"] for run in page["runs"]]
        after = ("--after", page["after"])
    assert page["after"] is None
    assert sorted(names) == sorted(f"s{number}" for number in range(40))
    refused = trivet("runs", "--order", "metrics.loss", "--after", "bm90", "--json")
    assert (refused.code, json.loads(refused.err)["code"]) == (2, "bad-page-token")


def test_runs_are_written_to_files(filled: Path, trivet: Trivet, tmp_path: Path) -> None:
    place = tmp_path / "runs.parquet"
    said = trivet("runs", "--experiment", "sweep", "--out", str(place), "--limit", "100")
    assert "40 runs in" in said.out
    assert pl.read_parquet(place)["params.lr"].dtype == pl.Float64
    assert trivet("runs", "--out", str(tmp_path / "runs.txt")).code == 2


def test_reported_runs_are_listed_beside_those_of_flows(filled: Path, trivet: Trivet) -> None:
    said = trivet("runs", "--limit", "2")
    assert "late/other" in said.out.splitlines()[2]
    assert "sweep/s39" in said.out.splitlines()[3]
    assert trivet("runs", "--status", "failed").out.strip() == "no runs"


def test_a_wrong_name_is_answered_with_the_nearest(filled: Path, trivet: Trivet) -> None:
    said = trivet("runs", "--filter", "metrics.lss < 1")
    assert said.code == 2
    assert "'metrics.lss' at character 1" in said.err
    assert "Did you mean metrics.loss?" in said.err


def test_experiments_are_listed_and_filtered(filled: Path, trivet: Trivet) -> None:
    assert [line.split()[0] for line in trivet("experiments").out.splitlines()[2:]] == [
        "late",
        "sweep",
        "Default",
    ]
    found = trivet("experiments", "--filter", "name LIKE 's%'", "--json").data
    assert [one["name"] for one in found["experiments"]] == ["sweep"]


def test_lineage_takes_the_words_for_runs_that_other_commands_take(
    filled: Path, trivet: Trivet
) -> None:
    (found,) = trivet("runs", "--filter", "name = 's7'", "--json").data["runs"]
    wanted = trivet("lineage", found["id"]).out
    for word in ("s7", "sweep/s7", found["id"][-8:]):
        assert trivet("lineage", word).out == wanted
        assert (
            trivet("tracking", "note", word, "as I thought", "--json").data["subject"]
            == (found["id"])
        )
    said = trivet("lineage", "nobody")
    assert (said.code, "nobody" in said.err) == (3, True)


def test_names_of_experiments_and_runs_may_have_slashes(filled: Path, trivet: Trivet) -> None:
    with open_workspace(filled) as ws:
        for experiment, name in (("team/late", "fold/1"), ("team", "late/other")):
            with ws.tracking.begin(experiment, name=name, system=False) as run:
                run.log(loss=1)
            data = trivet("compare", "s0", f"{experiment}/{name}", "--json").data
            assert data["tracked"]["runs"][1]["id"] == run.id
    assert trivet("compare", "s0", "team/nobody/1").code == 3


def test_runs_are_compared_by_name_end_or_identifier(filled: Path, trivet: Trivet) -> None:
    page = filled / "compared.html"
    last = trivet("runs", "--limit", "1", "--json").data["runs"][0]["id"]
    said = trivet("compare", "s0", "sweep/s1", last[-8:], "--html", str(page))
    assert said.code == 0
    for word in ("parameters: 3 of 3 differ", "* ", "lr", "loss, steps 0 to 2", "code: the same"):
        assert word in said.out
    assert "▁" in said.out
    assert page.read_text("utf-8").count("<polyline") == 2
    data = trivet("compare", "s0", "last", "--json").data
    assert data["tracked"]["runs"][1]["name"] == "other"
    assert trivet("compare", "s0").code == 2
    assert trivet("compare", "s0", "nobody").code == 3


def test_the_data_of_flows_runs_is_compared_row_by_row(project: Path, trivet: Trivet) -> None:
    def version(ws: Workspace, rows: dict[str, list[object]]) -> str:
        table = {"people": pl.DataFrame(rows)}
        return ws.data.publish("people", table, source="a list").id

    with open_workspace(project) as ws:
        first = version(ws, {"age": [1, 2, 2], "name": ["a", "b", "b"]})
        second = version(ws, {"age": [2, 2, 3, 4], "name": ["b", "c", "d", "e"], "x": [1] * 4})
        runs = []
        for id_ in (first, second):
            run = ws.tracking.start("train", entry="a:b", folder=project, data=[id_])
            runs.append(ws.tracking.finish(run.id, "succeeded").id)
        (difference,) = ws.compare(*runs).data[0]
    (table,) = difference.tables
    assert (table.rows_before, table.rows_after, table.columns_added) == (3, 4, {"x": "int64"})
    assert table.rows is not None
    assert (table.rows.added, table.rows.removed) == (3, 2)
    said = trivet("compare", *runs, "--html", str(project / "c.html"))
    assert "3 rows, now 4; 3 rows added, 2 removed; columns added: x" in said.out
    assert "x added" in (project / "c.html").read_text("utf-8")


def test_parameters_that_mattered_are_named(filled: Path, trivet: Trivet) -> None:
    page = filled / "importance.html"
    asked = ("importance", "--metric", "loss", "--experiment", "sweep")
    said = trivet(*asked, "--html", str(page))
    assert said.out.startswith("lr mattered for loss.")
    assert "█" in said.out.splitlines()[4]
    assert "not told from chance" in said.out
    assert "lr mattered for loss." in page.read_text("utf-8")
    data = trivet(*asked, "--params", "lr,kind", "--json").data
    assert data["found"]["parameters"][0]["names"] == ["lr"]
    few = trivet(*asked, "--filter", "params.seed < 10", "--json")
    assert (few.code, json.loads(few.err)["code"]) == (2, "too-few-trials")
    assert trivet(*asked, "--params", "none").code == 2
    assert trivet("importance", "--metric", "none").code == 2


def test_what_people_wrote_cannot_break_out_of_a_page(
    project: Path, trivet: Trivet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    evil = "<script>alert(1)</script>\x1b[2J"
    with open_workspace(project) as ws:
        runs = []
        for number in range(2):
            with ws.tracking.begin(
                evil, name=evil, parameters={"p": f"{evil}{number}"}, tags={"t": evil}, system=False
            ) as run:
                run.log({"loss": 1.0}, step=number)
                run.log({"loss": math.inf}, step=5)
            runs.append(run.id)
    said = trivet("compare", *runs, "--html", str(project / "c.html"))
    assert said.code == 0
    for out in (said.out, trivet("runs").out, trivet("runs", "--order", "name").out):
        assert "\x1b" not in out
    assert "<script" not in (project / "c.html").read_text("utf-8")


def test_a_reported_run_is_shown_with_all_it_said(filled: Path, trivet: Trivet) -> None:
    with (
        open_workspace(filled) as ws,
        ws.tracking.begin("late", name="whole", tags={"team": "blue"}, system=False) as run,
    ):
        run.log(auc=0.75, step=3)
        run.artifact(b"abc", "notes.txt")
    said = trivet("runs", "show", "late/whole")
    assert said.code == 0
    for word in ("0.75 at step 3", "tag team", "file notes.txt", "3 B", run.id):
        assert word in said.out
    assert trivet("runs", "show", run.id[-8:], "--json").data["run"]["metrics"]["auc"]["step"] == 3
    assert trivet("runs", "show", "last").out == said.out  # there is no run of a flow
    assert trivet("runs", "show", "f" * 32).code == 3
