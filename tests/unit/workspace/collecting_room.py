"""A project with runs, and what collects its garbage."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.unit.workspace.living_project import Project

from trivet.core.errors import NotFound
from trivet.core.ports import Stores
from trivet.models.model_versions import NewVersion
from trivet.tracking.reporting.facts import Report
from trivet.tracking.reporting.points import Point
from trivet.tracking.reporting.runs import Opening
from trivet.tracking.retention.facts import Rule
from trivet.tracking.retention.rules import Retention
from trivet.workspace.collecting import Collected, Collector, Plan
from trivet.workspace.retiring import Retiring

NONE: Final = Rule()


class Room:
    """A project and what collects its garbage."""

    def __init__(self, stores: Stores, project: str = "left") -> None:
        self.stores = stores
        self.own = Project(stores, 0, project)
        self.rules = Retention(stores, self.own.scope, self.own.experiments)

    def collector(self, days: float, rule: Rule = NONE, *, grace_s: float = 0) -> Collector:
        """Make a collector as of so many days from now."""
        now = datetime.now(UTC) + timedelta(days=days)
        own = self.own
        retiring = Retiring(
            self.stores, own.experiments, self.rules, own.scope.project, now=now, override=rule
        )
        return Collector(self.stores, own.scope, own.experiments, retiring, grace_s=grace_s)

    def collect(self, days: float, rule: Rule = NONE, *, grace_s: float = 0) -> Collected:
        time.sleep(0.01)
        return self.collector(days, rule, grace_s=grace_s).collect()

    def plan(self, days: float, rule: Rule = NONE) -> Plan:
        time.sleep(0.01)
        return self.collector(days, rule).plan()

    def run(self, content: bytes = b"weights", *, ended: bool = True) -> str:
        """Make a run with a file, a tag and a point."""
        run = self.own.runs.open(Opening(location="mlflow-artifacts:/0/{run}/artifacts")).id
        ended_ms = int(time.time() * 1000) if ended else None
        report = Report(tags={"a": "1"}, status="succeeded", ended_ms=ended_ms)
        self.own.runs.report(run, report)
        self.own.points.log(run, [Point("loss", 0.5, 1)])
        self.own.files.put(f"run:{run}", "model/weights.bin", content)
        return run

    def register(self, run: str, name: str = "churn") -> int:
        if name not in self.own.ids.get("name", []):
            self.own.made("name", self.own.names.make(name).name)
        return self.own.versions.make(name, NewVersion(source=f"runs:/{run}/model")).number

    def has(self, run: str) -> bool:
        try:
            self.own.runs.get(run)
        except NotFound:
            return False
        return True

    def content(self, run: str) -> bytes:
        with self.own.files.open(f"run:{run}", "model/weights.bin")[1] as file:
            return file.read()

    def blobs(self) -> dict[str, int]:
        return dict(self.stores.blobs.list())
