"""Importing from, and exporting to, a server that speaks MLflow's interface: Trivet's own."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.moving.conftest import Bring, send

from trivet.adapters.mlflow.calling import Caller
from trivet.adapters.mlflow.receiving import ServerReceiver
from trivet.adapters.mlflow.server import ServerHoldings
from trivet.core.errors import Forbidden, Invalid, Unavailable
from trivet.core.moving import HeldInput, HeldRun
from trivet.moving.wishes import Wishes
from trivet.tracking.reporting.facts import Report
from trivet.workspace.holdings import mlflow_holdings, mlflow_receiver
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace


def report(workspace: Workspace) -> str:
    with workspace.tracking.begin("digits", name="first", parameters={"lr": 0.1}) as run:
        for step in range(3):
            run.log(loss=1 / (step + 1), step=step)
        run.log(odd=float("nan"))
        run.text("note", "hello")
    with workspace.tracking.begin("digits", name="second", parent=run.id, system=False) as inner:
        inner.log(loss=9.0)
    return run.id


def test_what_goes_out_comes_back_from_there(
    workspace: Workspace, other: str, tmp_path: Path
) -> None:
    id = report(workspace)
    sent = send(workspace, other)
    assert (sent.counts.runs_new, sent.left) == (2, ())
    again = send(workspace, other)
    assert (again.counts.runs_same, again.counts.points) == (2, 0)
    third = tmp_path / "third"
    third.mkdir()
    (third / "trivet.toml").write_text('project = "third"\n')
    with open_workspace(third) as back:
        holdings = mlflow_holdings(other, [])
        back.moving.bring(holdings, Wishes(), lambda _: None)
        holdings.close()
        number = back.tracking.experiments.by_name("digits").number
        found, _ = back.tracking.reported.search([number])
        runs = {run.name: run for run in found}
        first = runs["first"]
        assert first.tags["trivet.source"] == id
        assert first.parameters == {"lr": "0.1"}
        assert (first.status, first.metrics["loss"].step) == ("succeeded", 2)
        history = back.tracking.reported.metrics.history(first.id, "loss")
        assert [point.value for point in history] == [1.0, 0.5, 1 / 3]
        assert runs["second"].tags["mlflow.parentRunId"] == first.id
        assert [m.kind for m in back.tracking.media(first.id)] == ["text"]


def test_what_is_new_goes_out_with_the_next_export(workspace: Workspace, other: str) -> None:
    id = report(workspace)
    send(workspace, other)
    workspace.tracking.reported.report(id, Report(tags={"late": "yes"}))
    again = send(workspace, other)
    assert (again.counts.runs_changed, again.counts.runs_same) == (1, 1)
    assert again.counts.points == 0


def test_a_run_that_an_export_brought_here_is_sent_on_once(
    workspace: Workspace, other: str
) -> None:
    id = report(workspace)
    marks = {"trivet.source": "its name elsewhere", "trivet.imprint": "of another export"}
    workspace.tracking.reported.report(id, Report(tags=marks))
    send(workspace, other)
    again = send(workspace, other)
    assert (again.counts.runs_new, again.counts.runs_same) == (0, 2)


def test_a_dry_export_counts_what_the_server_lacks_and_sends_nothing(
    workspace: Workspace, other: str
) -> None:
    id = report(workspace)
    for _ in range(2):
        before = send(workspace, other, is_dry=True)
        assert (before.is_dry, before.counts.runs_new, before.counts.runs_same) == (True, 2, 0)
    send(workspace, other)
    workspace.tracking.reported.report(id, Report(tags={"late": "yes"}))
    after = send(workspace, other, is_dry=True)
    assert (after.counts.runs_new, after.counts.runs_changed, after.counts.runs_same) == (0, 1, 1)
    with pytest.raises(Unavailable):
        send(workspace, "http://127.0.0.1:9", is_dry=True)


def test_without_the_right_nothing_is_told(
    other: str, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
    with pytest.raises(Forbidden):
        bring(mlflow_holdings(other, []))


def test_an_address_that_nobody_answers_is_told(bring: Bring) -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        bring(mlflow_holdings("http://127.0.0.1:9", []))
    with pytest.raises(Invalid):
        mlflow_receiver("ftp://somewhere")


def test_a_file_without_a_size_is_an_empty_one() -> None:
    files = [{"path": "none.txt", "is_dir": False}, {"path": "some.txt", "file_size": "3"}]
    caller = SimpleNamespace(name="there", open=open, get=lambda *_: {"files": files})
    found = ServerHoldings(cast("Caller", caller), []).files("mlflow-artifacts:/1/run/artifacts")
    assert {file.path: file.size_bytes for file in found} == {"none.txt": 0, "some.txt": 3}


def test_runs_of_one_data_set_tell_of_it_one_by_one() -> None:
    begun, overlaps = threading.Event(), list[bool]()

    def post(path: str, body: object) -> dict[str, object]:
        if path.endswith("log-inputs"):
            overlaps.append(begun.is_set())
            begun.set()
            time.sleep(0.1)
            begun.clear()
        return {}

    receiver = ServerReceiver(cast("Caller", SimpleNamespace(post=post, name="there")))
    data = HeldInput(name="train", digest="1")
    held = HeldRun(id="a", experiment="0", inputs=(data,))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run: receiver.report(run, held, (), again=False), "abcd"))
    assert overlaps == [False] * 4


def test_passwords_are_not_shown(bring: Bring) -> None:
    holdings = mlflow_holdings("http://ada:secret@127.0.0.1:9/mlflow", [])
    assert holdings.name == "http://127.0.0.1:9/mlflow"
