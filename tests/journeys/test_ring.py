"""The ring, whole: drift, alert, trigger, run, candidate, gate, shadow, canary, promotion.

A small stream of made-up customers on an event clock. Predictions and labels travel over HTTP to
a serving process of its own; the run that the trigger asks for is executed in a child process, as
the runner does it. Only the clock is the test's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trivet.access.tokens import read_or_create_token
from trivet.core.clock import EventClock
from trivet.core.lineage import ancestors
from trivet.pipelines.requests import QUEUE
from trivet.workspace import delivery, parts
from trivet.workspace.fsck import check_stores
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

START = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PER_DAY = 120
HISTORY = 30

TRIVET = """
project = "left"
flow = "pipeline:train"
"""
PATIENCE_S = 90
GATE = """
[quality]
threshold = 0.55
[calibration]
limit = 0.2
[champion]
margin = 0.0
"""
RELEASE = """
[rollout]
shadow_windows = 1
shadow_pairs = 50
canary_windows = 1
canary_share = 0.5
"""
MONITOR = """
label_delay_s = 0
[triggers.quality]
cause = "alert"
watch = "left"
cooldown_s = 864000
"""
PIPELINE = '''
from datetime import timedelta

import lightgbm as lgb
import numpy as np
import polars as pl

from trivet import Data, flow, step
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder
from trivet.models.signatures import fit_signature

DAYS = 14


@step
def split(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The newest days alone, so that a new world is a large part of them."""
    table = pl.DataFrame(table)
    since = table["day"].max() - timedelta(days=DAYS)
    rows = table.filter(pl.col("day") > since).drop("day")
    chosen = pl.Series(np.random.default_rng(7).random(rows.height) < 0.35)
    return {"training": rows.filter(~chosen), "holdout": rows.filter(chosen)}


@step
def fit(training: pl.DataFrame) -> Candidate:
    signature = fit_signature(training, "left", "binary")
    encoder = Encoder(signature)
    data = lgb.Dataset(
        encoder.encode_frame(training),
        encoder.encode_target(training),
        categorical_feature=list(encoder.categorical),
    )
    options = {"objective": "binary", "num_leaves": 5, "num_threads": 1, "verbose": -1, "seed": 1}
    return Candidate.of(lgb.train(options, data, 40), signature, sample=training)


@flow
def train(table: Data = "customers"):
    parts = split(table)
    return {"model": fit(parts["training"]), **parts}
'''


def customers(day: int, *, harm: bool) -> pl.DataFrame:
    """A day's customers; with harm, those of plan c are many and leave, whoever they are."""
    random = np.random.default_rng([11, day + 1000])
    plan = random.choice(list("abc"), PER_DAY, p=[0.3, 0.2, 0.5] if harm else [0.6, 0.3, 0.1])
    x = random.normal(size=PER_DAY)
    score = -1 + 1.2 * x + 0.8 * (plan == "b")
    score = np.where(plan == "c", 2.5, score) if harm else score
    return pl.DataFrame(
        {
            "x": x.round(3),
            "plan": plan,
            "left": random.random(PER_DAY) < 1 / (1 + np.exp(-score)),
            "day": pl.Series([START + day * DAY] * PER_DAY),
        }
    )


class Town:
    """A served project, and a day at a time."""

    def __init__(self, workspace: Workspace, clock: EventClock, port: int) -> None:
        self.workspace = workspace
        self.clock = clock
        self.days = 0
        self.alerts: list[Any] = []
        self.stages: list[str] = []
        self._port = port
        self._token = read_or_create_token(workspace.opened.folder / "token")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            data = json.loads(response.read())
            assert response.status == 200, data
            return data
        finally:
            connection.close()

    def day(self, *, harm: bool = False) -> None:
        """Answer a day's customers, learn the truth, publish it, and look."""
        rows = customers(self.days, harm=harm)
        noon = START + self.days * DAY + DAY / 2
        answered = self.call(
            "POST",
            "/predict/left",
            {
                "rows": rows.select("x", "plan").to_dicts(),
                "units": [f"unit-{self.days}-{n}" for n in range(rows.height)],
                "event_times": [noon.isoformat()] * rows.height,
            },
        )
        labels = [
            {"prediction": one["id"], "value": int(truth)}
            for one, truth in zip(answered["predictions"], rows["left"], strict=True)
        ]
        stored = self.call("POST", "/labels", {"labels": labels})
        assert (stored["accepted"], stored["unknown"]) == (rows.height, [])
        self.workspace.data.publish("customers", {"customers": rows}, source="a day", append=True)
        self.days += 1
        self.clock.move_to(START + self.days * DAY)
        self.look()

    def look(self) -> None:
        looked = self.workspace.monitoring.look()
        self.alerts += looked.alerts
        self.workspace.triggers.look()
        self.run_what_is_asked_for()
        release = self.workspace.releases.current("left")
        assert release is not None
        self.stages.append(release.plan.stage)
        self.wait_for(release.id)

    def run_what_is_asked_for(self) -> None:
        for task in self.workspace.stores.journal.claim(QUEUE, owner="a test", lease_s=120):
            assert parts.execute(self.workspace, task, "a test").state == "done"

    def wait_for(self, release: str) -> None:
        """Wait until the serving process has taken a release up."""
        import time

        end = time.monotonic() + PATIENCE_S
        while self.call("GET", "/endpoints")[0]["release"] != release:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: Any) -> Iterator[Town]:
    folder = tmp_path / "left"
    folder.mkdir()
    for name, text in {
        "trivet.toml": TRIVET,
        "gate.toml": GATE,
        "release.toml": RELEASE,
        "monitor.toml": MONITOR,
        "pipeline.py": PIPELINE,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    source = str(Path(__file__).parents[2] / "src")
    monkeypatch.setenv("PYTHONPATH", source)
    clock = EventClock(START)
    with open_workspace(folder, actor="a test", clock=clock) as workspace:
        history = pl.concat([customers(day, harm=False) for day in range(-HISTORY, 0)])
        workspace.data.publish("customers", {"customers": history}, source="the past")
        ran = tools.trivet(folder, "run")
        assert ran.code == 0, ran
        delivery.release_model(workspace, workspace.models.get("left"), why="first")
        with parts.bind(0) as listener:
            number = listener.fileno()
            handed = ["--parent", str(os.getpid()), "--socket", str(number)]
            arguments = [sys.executable, "-m", "trivet", "up", "--part", "serving", *handed]
            serving = subprocess.Popen(arguments, cwd=folder, pass_fds=[number])
            port = listener.getsockname()[1]
        try:
            yield Town(workspace, clock, port)
        finally:
            serving.terminate()
            serving.wait(PATIENCE_S)


def test_the_ring_turns_by_itself_when_the_world_moves(town: Town) -> None:
    for _ in range(4):
        town.day()
    assert town.alerts == []
    assert set(town.stages) == {"full"}

    for _ in range(16):
        town.day(harm=True)
        if town.stages[-1] == "full" and "canary" in town.stages:
            break
    workspace = town.workspace

    # One alert, that names what was planted.
    (alert,) = town.alerts
    assert "plan" in alert.causes[0].name
    assert abs(alert.since - (START + 4 * DAY)) <= 2 * DAY

    # One run was asked for, by a firing that names the alert.
    fired = [f for f in workspace.triggers.firings("quality") if f.outcome == "fired"]
    assert len(fired) == 1
    second = workspace.models.get("left:2")
    run = workspace.tracking.get(second.version.run)
    assert run.started.asked_by is not None

    # The gate compared it with the champion, on the same rows, before it was registered.
    verdict = workspace.models.verdicts.get(second.version.verdict)
    assert verdict.passed
    assert verdict.champion == workspace.models.get("left:1").id
    assert {f.check: f.ok for f in verdict.findings}["champion"] is True

    # It went live in steps, and answers everybody now.
    steps = [s for n, s in enumerate(town.stages) if n == 0 or town.stages[n - 1] != s]
    assert steps == ["full", "shadow", "canary", "full"]
    final = workspace.releases.current("left")
    assert final is not None
    assert final.plan.variants[0].model == second.id
    outcomes = {d.outcome for d in workspace.releases.decisions("left")}
    assert {"advance", "promote"} <= outcomes

    # From the release in force back to the alert there is an unbroken chain of parents.
    kinds = [entry.kind for entry in ancestors(workspace.stores.ledger, final.id).entries]
    for kind in ("release", "model", "gate.verdict", "run", "trigger.firing", "alert",
                 "monitoring.window", "monitoring.baseline", "data.commit"):  # fmt: skip
        assert kind in kinds, kind

    # The new champion ended the alert, and is watched against a baseline of its own.
    town.day(harm=True)
    town.day(harm=True)
    assert workspace.monitoring.open_alert("left") is None
    assert check_stores(workspace.stores).is_sound
    newest = next(iter(reversed(list(workspace.serving.predictions("left")))))
    why = workspace.serving.why(newest.id)
    assert (why.model.version, why.label is not None) == (2, True)
    assert workspace.serving.replay(newest.id).equal
