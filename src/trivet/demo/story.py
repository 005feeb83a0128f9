"""The story: a project is made, trained, released, and driven through ten months.

Everything goes the way a user's own project goes: the template is rendered, the flow is run, the
gate judges, serving answers over HTTP in a process of its own, and what a trigger asks for is
executed as the runner would. Only the clock is the replay's.
"""

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from trivet.access.tokens import read_or_create_token
from trivet.core.clock import EventClock
from trivet.core.errors import Conflict, TrivetError, Unavailable
from trivet.demo.comparison import by_month, gain
from trivet.demo.evidence import (
    Evidence,
    Judged,
    Promotion,
    Raised,
    Retraining,
    Stage,
)
from trivet.demo.report.page import write_report
from trivet.demo.traffic import Traffic
from trivet.demo.words import finding, headline
from trivet.demo.year import START, Question, Year
from trivet.models.encoding import Encoder
from trivet.models.facts import GateVerdict, Model
from trivet.monitoring.facts import Alert, Baseline
from trivet.monitoring.service import Looked
from trivet.pipelines.requests import QUEUE
from trivet.releases.facts import Release
from trivet.triggers.facts import Firing
from trivet.workspace import delivery, fsck, parts
from trivet.workspace.project import render
from trivet.workspace.settings import FOLDER
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

NAME = "flights"
PER_DAY = 100
_REPLAYED = 25

Tell = Callable[[str], None]


class Story:
    """One demonstration, from an empty folder to the evidence.

    Args:
        folder: Where the project is made; must not exist.
        tell: Told what happens, a line at a time.
        per_day: How many flights of each day are asked about.
    """

    def __init__(self, folder: Path, tell: Tell, *, per_day: int = PER_DAY) -> None:
        self.evidence = Evidence(folder=str(folder))
        self._folder = folder
        self._tell = tell
        self._per_day = per_day
        self._clock = EventClock(START)
        self._published: datetime | None = None
        self._waiting: list[tuple[datetime, dict[str, Any]]] = []
        self._answers: list[dict[str, Any]] = []
        self._release: Release | None = None
        self._owner = f"demo-{os.getpid()}"

    def run(self) -> Evidence:
        """Tell the whole story. A stage that fails ends it; the evidence says which."""
        began = time.perf_counter()
        try:
            self._tell_all()
        except (TrivetError, OSError) as error:
            self._tell(f"stopped: {error}")
        self.evidence.seconds = time.perf_counter() - began
        self.evidence.peak_memory_bytes = _peak_memory()
        if self.evidence.stages[0].ok:  # else the folder is somebody else's
            with suppress(OSError):  # told by its stage, which is not ok then
                self._write_report()
        return self.evidence

    def _write_report(self) -> None:
        done = msgspec.structs.replace(self.evidence, stages=list(self.evidence.stages))
        with self._stage("report") as say:
            path = self._folder / "report.html"
            write_report(done, path)
            self.evidence.report = str(path)
            say(str(path))

    def _tell_all(self) -> None:
        with self._stage("project") as say:
            ports = _free_port(), _free_port()
            self._make_project(*ports)
            say(f"an ordinary project in {self._folder}")
        with open_workspace(self._folder, actor="demo", clock=self._clock) as ws:
            with self._stage("data") as say:
                year = Year(per_day=self._per_day)
                self.evidence.sampling = year.sampling
                rows = self._publish(ws, year)
                say(f"{rows:,} flights known by March published; {year.sampling}")
            frozen = self._first_model(ws)
            serving = _start_serving(self._folder)
            try:
                self._drive(ws, year, ports[1])
            finally:
                _stop(serving)
            self._look_back(ws, year, frozen)

    # -- before March --------------------------------------------------------------------------

    def _first_model(self, ws: Workspace) -> Model:
        with self._stage("train") as say:
            run = ws.pipelines.run(ws.settings.flow)
            say(f"run {run.id}: {len(ws.pipelines.steps(run.id))} steps")
        with self._stage("gate") as say:
            delivered = delivery.deliver(ws, run)
            if delivered is None or delivered.model is None:
                raise _refused(delivered.verdict if delivered else None)
            checks = len(delivered.verdict.findings)
            say(f"{checks} checks, {_quality(delivered.verdict)}")
            model = delivered.model
        with self._stage("register") as say:
            say(
                f"{model.label}, {model.version.size_bytes / 1024:.0f} KiB, {model.version.package}"
            )
        with self._stage("release") as say:
            self._release = delivery.release_model(ws, model, why="first version, by the demo")
            say(f"{self._release.plan.endpoint}, log mode {self._release.plan.log_mode}")
            self.evidence.log_mode = self._release.plan.log_mode
        return model

    # -- March to December ---------------------------------------------------------------------

    def _drive(self, ws: Workspace, year: Year, port: int) -> None:
        token = read_or_create_token(self._folder / FOLDER / "token")
        traffic = Traffic(port, token)
        with self._stage("serve") as say:
            self._follow(ws, traffic)
            say(f"http://127.0.0.1:{port}, a process of its own")
        with self._stage("replay") as say:
            month = ""
            end = START
            for end, questions in year.windows():
                if f"{end:%Y-%m}" != month:
                    month = f"{end:%Y-%m}"
                    self._tell(f"  {month}  {self._standing(ws)}")
                self._day(ws, year, traffic, end, questions)
            # The last flights land, the last windows close.
            for later in range(1, 4):
                self._day(ws, year, traffic, end + timedelta(days=later), [])
            traffic.close()
            self.evidence.predictions = traffic.requests
            self.evidence.requests_per_second = traffic.requests / max(traffic.busy_s, 1e-9)
            say(
                f"{traffic.requests:,} requests answered at "
                f"{self.evidence.requests_per_second:,.0f}/s beside everything else, "
                f"{self.evidence.labels:,} labels after landing"
            )

    def _day(
        self, ws: Workspace, year: Year, traffic: Traffic, end: datetime, questions: list[Question]
    ) -> None:
        answers = traffic.predict(NAME, [question.body for question in questions])
        for question, answer in zip(questions, answers, strict=True):
            found = answer["predictions"][0]
            self._answers.append(
                {
                    "flight_id": question.flight_id,
                    "prediction": found["id"],
                    "model": found["model"],
                    "loop": found["probability"],
                }
            )
            if question.late is not None and question.landed_at is not None:
                label = {
                    "prediction": found["id"],
                    "value": question.late,
                    "event_time": question.landed_at.isoformat(),
                }
                self._waiting.append((question.landed_at, label))
        self._clock.move_to(end)
        due = [label for landed, label in self._waiting if landed <= end]
        self._waiting = [item for item in self._waiting if item[0] > end]
        self.evidence.labels += traffic.report(due)
        self._note(ws.monitoring.look())
        if ws.monitoring.open_alert(NAME):
            self._publish_for_retraining(ws, year)
        for firing in ws.triggers.look():
            self._tell(f"  {end:%Y-%m-%d}  trigger {firing.outcome}: {firing.reason[:90]}")
            if firing.outcome == "fired":
                self._retrain(ws, firing)
        self._follow(ws, traffic)

    def _publish_for_retraining(self, ws: Workspace, year: Year) -> None:
        """New data comes in when somebody will train on it; each version holds what was known."""
        now = self._clock.now()
        if self._published is None or now - self._published >= timedelta(days=7):
            self._publish(ws, year)

    def _publish(self, ws: Workspace, year: Year) -> int:
        now = self._clock.now()
        rows = year.known(self._published, now)
        ws.data.publish(
            NAME,
            {NAME: rows},
            source=f"flights known by {now:%Y-%m-%d}",
            until=now,
            append=self._published is not None,
        )
        self._published = now
        self.evidence.dataset_versions += 1
        return rows.height

    def _retrain(self, ws: Workspace, firing: Firing) -> None:
        for task in ws.stores.journal.claim(QUEUE, owner=self._owner, lease_s=120.0):
            move = parts.execute(ws, task, self._owner)
            if move.state != "done":
                raise Unavailable(
                    f"the asked-for run ended as {move.state}: {(move.result or b'').decode()}"
                )
        run = ws.tracking.runs(limit=1)[0]
        verdict = ws.models.verdicts.of(NAME)[-1][1]
        reasons = tuple(f.summary for f in verdict.findings if f.ok is not True)
        newest = ws.models.get(NAME)
        model = newest.label if newest.version.run == run.id else None
        training = ws.data.get(run.started.data[0])
        self.evidence.retrainings.append(
            Retraining(
                event_time=firing.event_time.isoformat(),
                asked_because=firing.reason,
                run=run.id,
                rows=sum(table.rows for table in training.commit.tables),
                passed=verdict.passed,
                model=model,
                reasons=() if verdict.passed else reasons,
            )
        )
        word = f"{model} passed the gate" if model else f"refused: {'; '.join(reasons)[:90]}"
        self._tell(f"  {firing.event_time:%Y-%m-%d}  retrained on {training.commit.source}: {word}")

    def _note(self, looked: Looked) -> None:
        for alert in looked.alerts:
            self._tell(f"  {alert.event_time:%Y-%m-%d}  ALERT {alert.summary[:100]}")
            self.evidence.alerts.append(_raised(alert))
        for decision in looked.decisions:
            if decision.outcome == "rollback":
                self.evidence.rollbacks += 1

    def _follow(self, ws: Workspace, traffic: Traffic) -> None:
        """Wait until serving answers by the release in force, and note when it changed."""
        current = ws.releases.current(NAME)
        assert current is not None  # noqa: S101  # released before serving began
        traffic.wait_for(NAME, current.id)
        before, self._release = self._release, current
        if before is None or before.id == current.id:
            return
        plan = current.plan
        champion = ws.models.get(plan.variants[0].model).label
        self._tell(f"  {self._clock.now():%Y-%m-%d}  release {plan.generation}: {plan.stage}")
        if champion != ws.models.get(before.plan.variants[0].model).label:
            self.evidence.promotions.append(
                Promotion(
                    event_time=self._clock.now().isoformat(),
                    model=champion,
                    stage=plan.stage,
                    why=plan.why,
                )
            )

    def _standing(self, ws: Workspace) -> str:
        plan = self._release.plan if self._release else None
        labels = [ws.models.get(v.model).label for v in plan.variants] if plan else []
        return f"{len(self._answers):>6,} answered, {' and '.join(labels)} live"

    # -- looking back --------------------------------------------------------------------------

    def _look_back(self, ws: Workspace, year: Year, frozen: Model) -> None:
        self._check_monitoring(ws)
        self._check_decisions(ws)
        with self._stage("compare") as say:
            answered = self._answered(ws, year, frozen)
            self.evidence.by_month = by_month(answered)
            found = self.evidence.gain = gain(answered)
            self.evidence.loop_beats_frozen = found.is_shown
            say(f"{headline(self.evidence)} {finding(found)}")
        labelled = [item for item in self._answers if item["prediction"]]
        with self._stage("why") as say:
            example = labelled[-1]["prediction"]
            why = ws.serving.why(example)
            self.evidence.why = msgspec.to_builtins(why)
            say(f"{example}: {why.model.name}:{why.model.version}, run {why.run_id}")
        with self._stage("replay bits") as say:
            chosen = labelled[:: max(1, len(labelled) // _REPLAYED)]
            equal = [ws.serving.replay(item["prediction"]).equal for item in chosen]
            self.evidence.replayed = len(equal)
            self.evidence.replay_equal = all(equal)
            _demand(self.evidence.replay_equal, "a replay gave other bits")
            say(f"{len(equal)} predictions across the year, equal bit for bit")
        with self._stage("fsck") as say:
            report = fsck.check_stores(ws.stores)
            _demand(report.is_sound, f"{len(report.damages)} damages")
            say(f"{report.facts:,} facts in {report.links:,} links, nothing is damaged")

    def _check_monitoring(self, ws: Workspace) -> None:
        with self._stage("monitoring") as say:
            windows = ws.monitoring.windows(NAME, limit=1000)
            page = ws.stores.ledger.find(Baseline.KIND, limit=1000, newest_first=False)
            first = msgspec.json.decode(page.entries[0].payload or b"", type=Baseline)
            self.evidence.monitor_card = first.card
            _demand(len(windows) > 250, f"only {len(windows)} windows were closed")
            _demand(bool(self.evidence.alerts), "no alert was raised")
            say(
                f"{len(windows)} windows closed, {len(self.evidence.alerts)} alerts; {_card(first)}"
            )

    def _check_decisions(self, ws: Workspace) -> None:
        verdicts = [verdict for _, verdict in ws.models.verdicts.of(NAME)]
        self.evidence.gate_verdicts = [
            Judged(
                model=verdict.model,
                passed=verdict.passed,
                checks=len(verdict.findings),
                refused_by=tuple(f.check for f in verdict.findings if f.ok is not True),
            )
            for verdict in verdicts
        ]
        with self._stage("trigger") as say:
            firings = ws.triggers.firings(limit=1000)
            fired = sum(1 for firing in firings if firing.outcome == "fired")
            _demand(fired > 0, "no trigger fired")
            say(f"{fired} fired, {len(firings) - fired} held back, each with its reason")
        with self._stage("retrain") as say:
            passed = sum(1 for item in self.evidence.retrainings if item.passed)
            _demand(bool(self.evidence.retrainings), "nothing was retrained")
            say(f"{len(self.evidence.retrainings)} retrainings, {passed} passed the gate")
        with self._stage("rollout") as say:
            promoted = len(self.evidence.promotions)
            refused = sum(1 for item in self.evidence.retrainings if item.reasons)
            _demand(promoted + refused > 0, "no candidate was promoted or refused")
            say(
                f"{promoted} promoted through shadow and canary, {refused} refused by the gate, "
                f"{self.evidence.rollbacks} rolled back"
            )

    def _answered(self, ws: Workspace, year: Year, frozen: Model) -> pl.DataFrame:
        answers = pl.DataFrame(self._answers).select("flight_id", "loop")
        rows = year.asked.join(answers, on="flight_id", how="inner").drop_nulls("late")
        package = ws.models.open(frozen)
        matrix = Encoder(package.signature).encode_frame(rows)
        scored = package.session().run(matrix)[:, 0].astype(np.float64)
        return rows.select("day", "late", "loop").with_columns(pl.Series("frozen", scored))

    # -- small things --------------------------------------------------------------------------

    def _make_project(self, port: int, serving_port: int) -> None:
        if self._folder.exists():
            raise Conflict(
                f"{self._folder} exists", hint="Name another folder: `trivet demo --folder`."
            )
        words = {"port": str(port), "serving_port": str(serving_port)}
        try:
            render(files("trivet.templates") / "flights", self._folder, words)
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @contextmanager
    def _stage(self, name: str) -> Generator[Callable[[str], None]]:
        stage = Stage(name=name, ok=False, seconds=0.0, detail="")
        self.evidence.stages.append(stage)
        began = time.perf_counter()

        def say(text: str) -> None:
            stage.detail = text

        try:
            yield say
            stage.ok = True
        except (TrivetError, OSError) as error:
            stage.detail = str(error)
            raise
        finally:
            stage.seconds = time.perf_counter() - began
            mark = "ok" if stage.ok else "NO"
            self._tell(f"{mark}  {name:<11} {stage.seconds:6.1f} s  {stage.detail}")


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as a statement
    if not holds:
        raise Unavailable(otherwise, code="demo-stage")


def _refused(verdict: GateVerdict | None) -> Unavailable:
    reasons = [f.summary for f in verdict.findings if f.ok is not True] if verdict else []
    return Unavailable(f"the first model was refused: {'; '.join(reasons)}", code="demo-stage")


def _quality(verdict: GateVerdict) -> str:
    return next((f.summary for f in verdict.findings if f.check == "quality"), "passed")


def _card(baseline: Baseline) -> str:
    card = baseline.card
    if "measured_per_year" not in card:
        return str(card.get("silent", "no promise"))
    return (
        f"promised {card['promised_per_year']:g} false alarms a year, measured "
        f"{card['measured_per_year']:.2f} on resampled held-out days"
    )


def _raised(alert: Alert) -> Raised:
    return Raised(
        event_time=alert.event_time.isoformat(),
        since=alert.since.isoformat() if alert.since else None,
        summary=alert.summary,
        causes=tuple(cause.summary for cause in alert.causes),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _start_serving(folder: Path) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "trivet", "up", "--part", "serving"]
    return subprocess.Popen(arguments, cwd=folder)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _peak_memory() -> int:
    """Add this process's peak to the largest of its children's: an upper bound of both at once."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024
